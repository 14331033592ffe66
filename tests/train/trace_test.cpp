#include "ane/train/trace.h"

#include <array>
#include <limits>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "ane/core/descriptor.h"
#include "ane/core/error.h"
#include "ane/core/file.h"

#include "support/catch.h"
#include "support/temporary_directory.h"
#include "train/files.h"

using namespace ane::train;
using Json = nlohmann::ordered_json;

namespace {

using std::chrono::microseconds;

std::vector<Json> named(const Json& events, const std::string& name) {
  std::vector<Json> found;
  for (const Json& event : events)
    if (event.at("name") == name) found.push_back(event);
  return found;
}

bool holds(const Json& outer, const Json& inner) {
  const auto end = [](const Json& span) { return span.at("ts").get<double>() + span.at("dur").get<double>(); };
  constexpr double kRounding = 0.002;  // microseconds: three decimals are written
  return outer.at("ts").get<double>() <= inner.at("ts").get<double>() + kRounding &&
         end(inner) <= end(outer) + kRounding;
}

/// A phase that has just ended on the calling thread.
void run_phase(Trace& trace, const std::string& name) {
  const auto begin = Trace::Clock::now();
  std::this_thread::sleep_for(microseconds(50));
  trace.on_span(name, begin, Trace::Clock::now());
}

}  // namespace

TEST_CASE("a step contains its phases although its time was measured before it was reported", "[train]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "trace.json";
  {
    Trace trace(path, fail_on_warning);
    run_phase(trace, "compile attn_fwd");
    trace.on_compile({.kernels = 1, .time = microseconds(50)});
    run_phase(trace, "attn_fwd");
    run_phase(trace, "loss");
    std::this_thread::sleep_for(microseconds(200));
    trace.on_step({.step = 1, .loss = std::numeric_limits<double>::infinity(), .time = microseconds(100)});
    trace.on_update({.update = 1});
  }
  const Json events = Json::parse(text_of(path));
  const Json step = named(events, "step").at(0);
  CHECK(holds(step, named(events, "attn_fwd").at(0)));
  CHECK(holds(step, named(events, "loss").at(0)));
  CHECK(step.at("args").at("loss").is_null());
  const Json compile = named(events, "compile round").at(0);
  CHECK(holds(compile, named(events, "compile attn_fwd").at(0)));
  CHECK_FALSE(holds(step, named(events, "compile attn_fwd").at(0)));
  const auto end_of_compile = compile.at("ts").get<double>() + compile.at("dur").get<double>();
  CHECK(end_of_compile <= step.at("ts").get<double>() + 0.002);
}

TEST_CASE("a re-executed process continues the trace of the previous one, which did not close it", "[train]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "trace.json";
  const auto trace_pipe = directory.path() / "pipe";
  const bool into_pipe = GENERATE(false, true);
  CAPTURE(into_pipe);
  ane::Descriptor reader;
  if (into_pipe) {
    REQUIRE(::mkfifo(trace_pipe.c_str(), 0600) == 0);
    reader = ane::Descriptor(::open(trace_pipe.c_str(), O_RDONLY | O_NONBLOCK));
    REQUIRE(reader);
  }
  std::string text;
  const auto read_pipe = [&] {
    std::array<char, 65536> buffer{};
    const ssize_t size = ::read(reader.get(), buffer.data(), buffer.size());
    REQUIRE(size > 0);
    text.append(buffer.data(), static_cast<std::size_t>(size));
  };

  // Only the descriptor survives exec.
  int handed_over = -1;
  {
    Trace first(into_pipe ? trace_pipe : path, fail_on_warning);
    first.on_step({.step = 1});
    first.on_restart({.step = 1, .compiles = 61});
    REQUIRE(first.descriptor().has_value());
    handed_over = ::dup(*first.descriptor());
    text = into_pipe ? std::string() : text_of(path);
    if (into_pipe) read_pipe();
    CHECK(Json::parse(text + "]").size() == 4);  // two names, step, leaving
  }
  if (into_pipe) {
    std::array<char, 16> closing{};
    REQUIRE(::read(reader.get(), closing.data(), closing.size()) == 3);
  } else {
    std::filesystem::resize_file(path, text.size());
  }
  {
    Trace second(into_pipe ? trace_pipe : path, fail_on_warning, handed_over);
    second.on_resume({.step = 1, .time = microseconds(10)});
    second.on_step({.step = 2});
  }
  if (into_pipe) {
    read_pipe();
  } else {
    text = text_of(path);
  }
  const Json events = Json::parse(text);
  CHECK(named(events, "process_name").size() == 1);
  CHECK(named(events, "step").size() == 2);
  REQUIRE(named(events, "restart").size() == 1);
  CHECK(named(events, "restart").at(0).at("dur").get<double>() == 10);
  if (into_pipe) return;

  { const Trace third(path, fail_on_warning); }
  CHECK(Json::parse(text_of(path)).size() == 2);
}

TEST_CASE("phases of other threads have separate, named tracks", "[train]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "trace.json";
  {
    Trace trace(path, fail_on_warning);
    run_phase(trace, "attn_fwd");
    std::thread([&] { run_phase(trace, "weight gradient"); }).join();
    trace.on_step({.step = 1});
  }
  const Json events = Json::parse(text_of(path));
  const Json phase = named(events, "weight gradient").at(0);
  CHECK(phase.at("tid") != named(events, "step").at(0).at("tid"));
  std::map<int, std::string> names;
  for (const Json& event : named(events, "thread_name"))
    names[event.at("tid").get<int>()] = event.at("args").at("name").get<std::string>();
  CHECK(names[phase.at("tid").get<int>()] == "worker 1");
  CHECK(names[named(events, "attn_fwd").at(0).at("tid").get<int>()] == "main");
}

TEST_CASE("concurrent steps are one span that lasts as long as all, on any threads", "[train]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "trace.json";
  {
    Trace trace(path, fail_on_warning);
    trace.on_update({.update = 1});
    std::this_thread::sleep_for(microseconds(300));  // the main thread runs no part of them
    trace.on_step({.step = 1, .time = microseconds(100), .more_follow = true});
    trace.on_step({.step = 2, .time = microseconds(100), .more_follow = true});
    trace.on_step({.step = 3, .time = microseconds(100)});
    trace.on_step({.step = 4, .time = microseconds(0)});
  }
  const std::vector<Json> steps = named(Json::parse(text_of(path)), "step");
  REQUIRE(steps.size() == 2);
  CHECK_THAT(steps.at(0).at("dur").get<double>(),
             Catch::Matchers::WithinAbs(300, 0.002));  // with the written precision
  CHECK_THAT(steps.at(1).at("dur").get<double>(), Catch::Matchers::WithinAbs(0, 0.002));
}

TEST_CASE("a checkpoint has its own track and start time", "[train]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "trace.json";
  {
    Trace trace(path, fail_on_warning);
    trace.on_step({.step = 1, .time = microseconds(50)});
    trace.on_checkpoint({.step = 1, .begin_ns = 3'000'000, .time = microseconds(20)});
    run_phase(trace, "write weights");
    trace.on_weights({.time = microseconds(50)});
    trace.on_step({.step = 2, .time = microseconds(50)});
  }
  const Json events = Json::parse(text_of(path));
  const Json checkpoint = named(events, "checkpoint").at(0);
  CHECK(checkpoint.at("tid") != named(events, "step").at(0).at("tid"));
  CHECK(checkpoint.at("ts") == 3000);
  CHECK(checkpoint.at("dur") == 20);
  CHECK(holds(named(events, "weights").at(0), named(events, "write weights").at(0)));
  CHECK_FALSE(holds(named(events, "step").at(1), named(events, "write weights").at(0)));
}

TEST_CASE("a trace that cannot be written is an error at the start and one warning later", "[train]") {
  CHECK_THROWS_AS(Trace("/dev/null/nowhere/trace", fail_on_warning), ane::FileError);
  CHECK_THROWS_WITH(Trace("/dev/null/nowhere/trace", fail_on_warning),
                    ANE_CONTAINS("/dev/null/nowhere/trace: the trace file"));
  if (!std::filesystem::exists("/dev/full")) return;
  int warnings = 0;
  Trace trace("/dev/full", [&](const std::string& text) {
    ++warnings;
    CHECK_THAT(text, ANE_CONTAINS("continues without trace"));
  });
  trace.on_step({.step = 1});
  CHECK(warnings == 1);
}
