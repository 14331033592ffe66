#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "fake_model.h"
#include "harness.h"
#include "support/catch.h"

/// Shared by tests of whole runs.

inline constexpr int kPlenty = 1000000;  ///< compiles

inline std::unique_ptr<ane::model::Model> plain_model(ane::surface::SurfacePool& /*surfaces*/) {
  return std::make_unique<FakeModel>();
}

/// Lets a test set up each process's model.
inline Run::MakeModel model_with(std::function<void(FakeModel&)> set_up) {
  return [set_up = std::move(set_up)](ane::surface::SurfacePool& /*surfaces*/) {
    auto model = std::make_unique<FakeModel>();
    set_up(*model);
    return model;
  };
}

/// Compares bits, so that -0 and 0 differ and NaN equals itself.
inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

inline void check_same_result(const Run& a, const Run& b) {
  CHECK(same_bits(a.state->parameters(), b.state->parameters()));
  CHECK(same_bits(a.state->running_parameters(), b.state->running_parameters()));
  for (std::size_t i = 0; i < a.state->slots().size(); ++i) CHECK(same_bits(a.state->slot(i), b.state->slot(i)));
  CHECK(a.progress().step == b.progress().step);
  CHECK(a.progress().update == b.progress().update);
  CHECK(a.progress().optimizer_updates == b.progress().optimizer_updates);
  CHECK(a.progress().loss_scale == b.progress().loss_scale);
  CHECK(a.progress().good_updates == b.progress().good_updates);
  CHECK(a.progress().last_loss == b.progress().last_loss);
}
