#pragma once

/// Marks the exported symbols of the stand-in; all others are hidden.
#define ANE_STANDIN_EXPORT extern "C" __attribute__((visibility("default")))
