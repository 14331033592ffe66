#include "lab.h"

#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/math/half.h"
#include "ane/mil/text.h"

namespace ane::explore {

namespace {

constexpr std::size_t kProgramChannels = 64;
constexpr std::size_t kProgramWidth = 64;
constexpr std::size_t kProgramSteps = 1024;  // fp16 has as many numbers from 1 to 2

float scale_of(std::size_t number) { return 1 + static_cast<float>(number % kProgramSteps) / kProgramSteps; }
float shift_of(std::uint64_t seed, std::size_t number) {
  return static_cast<float>((seed + number / kProgramSteps) % kProgramSteps) / kProgramSteps;
}

std::string numbered_text(const Lab& lab, std::size_t number) {
  mil::Builder mil(mil::DType::fp16);
  const mil::Var x = mil.input("x", {1, kProgramChannels, 1, kProgramWidth});
  const mil::Var scaled = mil.mul(fresh_name(lab, number), x, mil.scalar(scale_of(number)));
  const mil::Var y = mil.add("y", scaled, mil.scalar(shift_of(lab.seed, number)));
  return finished(std::move(mil), y);
}

}  // namespace

Memory filled(device::apple::RawEngine& engine, std::span<const float> values) {
  Memory memory = engine.surface(values.size() * sizeof(math::Half));
  auto* const halves = reinterpret_cast<math::Half*>(memory->lock(true).data());
  for (std::size_t i = 0; i < values.size(); ++i) halves[i] = math::to_half(values[i]);
  memory->unlock(true);
  return memory;
}

Memory empty(device::apple::RawEngine& engine, std::size_t elements) {
  return filled(engine, std::vector<float>(elements));
}

std::vector<float> values_of(surface::Memory& memory) {
  const std::span<std::byte> bytes = memory.lock(false);
  const auto* const halves = reinterpret_cast<const math::Half*>(bytes.data());
  std::vector<float> values(bytes.size() / sizeof(math::Half));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = math::to_float(halves[i]);
  memory.unlock(false);
  return values;
}

std::string finished(mil::Builder&& builder, mil::Var y) {
  const std::array outputs{y};
  return mil::print(std::move(builder).finish(outputs));
}

std::string fresh_name(const Lab& lab, std::size_t number) {
  return fmt::format("experiment_{:016x}_{}", lab.seed, number);
}

void expect(const device::apple::Answer& answer, std::string_view doing) {
  if (!answer.ok()) throw DeviceError(fmt::format("{} failed: {}", doing, answer.error));
}

std::vector<float> result_of(const Lab& lab, const std::string& text, const std::vector<std::vector<float>>& inputs,
                             std::size_t outputs) {
  device::apple::RawProgram program(lab.engine, text);
  expect(program.compile(), "compiling");
  expect(program.load(), "loading");
  std::vector<Memory> in;
  std::vector<surface::Memory*> bound;
  for (const std::vector<float>& values : inputs) {
    in.push_back(filled(lab.engine, values));
    bound.push_back(in.back().get());
  }
  const Memory out = empty(lab.engine, outputs);
  const std::array results{out.get()};
  expect(program.evaluate(bound, results), "running");
  return values_of(*out);
}

NumberedProgram::NumberedProgram(const Lab& lab, std::size_t number)
    : engine_(&lab.engine),
      scale_(scale_of(number)),
      shift_(shift_of(lab.seed, number)),
      program_(lab.engine, numbered_text(lab, number)) {}

std::string NumberedProgram::check() {
  constexpr float kTolerance = 4e-3F;  // two roundings of a number below 4
  const Memory in = filled(*engine_, std::vector<float>(kProgramChannels * kProgramWidth, 1));
  const Memory out = empty(*engine_, kProgramChannels * kProgramWidth);
  const std::array inputs{in.get()};
  const std::array outputs{out.get()};
  if (const device::apple::Answer answer = program_.evaluate(inputs, outputs); !answer.ok()) return answer.error;
  for (const float found : values_of(*out))
    if (!(std::fabs(found - scale_ - shift_) <= kTolerance))
      return fmt::format("the result was {} instead of {}", found, scale_ + shift_);
  return {};
}

}  // namespace ane::explore
