#pragma once

/// What the stand-in shows to the outside; all else is hidden.
#define ANE_STANDIN_EXPORT extern "C" __attribute__((visibility("default")))
