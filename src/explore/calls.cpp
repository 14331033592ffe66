#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lab.h"
#include "stages.h"

namespace ane::explore {

Finding failures_are_reported(const Lab& lab) {
  constexpr std::size_t kElements = std::size_t{64} * 64;
  constexpr std::size_t kTooFew = 32;  // 64 bytes
  mil::Builder mil(mil::DType::fp16);
  const mil::Var x = mil.input("x", {1, 64, 1, 64});
  const mil::Var copy = mil.mul(fresh_name(lab), x, mil.scalar(1));
  device::apple::RawProgram program(lab.engine, finished(std::move(mil), copy));
  expect(program.compile(), "compiling");
  expect(program.load(), "loading");
  const Memory in = empty(lab.engine, kTooFew);
  const Memory out = empty(lab.engine, kElements);
  const std::array inputs{in.get()};
  const std::array outputs{out.get()};
  if (!program.evaluate(inputs, outputs).ok())
    return {"reported", std::nullopt, "a run whose surface is too small is reported as failed"};
  return {"unreported", std::nullopt,
          "a run whose surface is too small is reported as a success, so an answer of the engine proves nothing"};
}

Finding inputs_bind_in_order(const Lab& lab) {
  constexpr std::size_t kElements = std::size_t{64} * 64;
  mil::Builder mil(mil::DType::fp16);
  const mil::Var z = mil.input("z", {1, 64, 1, 64});
  const mil::Var a = mil.input("a", {1, 64, 1, 64});
  const mil::Var y = mil.sub(fresh_name(lab), z, a);
  device::apple::RawProgram program(lab.engine, finished(std::move(mil), y));
  expect(program.compile(), "compiling");
  expect(program.load(), "loading");
  const Memory first = filled(lab.engine, std::vector<float>(kElements, 1));
  const Memory second = filled(lab.engine, std::vector<float>(kElements, 10));
  const Memory out = empty(lab.engine, kElements);
  const std::array inputs{first.get(), second.get()};
  const std::array outputs{out.get()};
  expect(program.evaluate(inputs, outputs), "running");
  const float difference = values_of(*out).front();
  const std::string symbols = fmt::format("{}", fmt::join(program.input_symbols(), ", "));
  const std::string listed = symbols.empty() ? "the program does not list them" : "the program lists " + symbols;
  if (difference == 9)
    return {"sorted", difference, fmt::format("inputs bind in the order of their names; {}", listed)};
  if (difference == -9)
    return {"written", difference, fmt::format("inputs bind in the order of the text, not of their names; {}", listed)};
  return {"wrong", difference, fmt::format("10 - 1 in either order gave {}; {}", difference, listed)};
}

}  // namespace ane::explore
