#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <unistd.h>

#include "ane/device/apple/library_paths.h"

#include "faults/faulty_program.h"
#include "objc.h"
#include "standin.h"

namespace {

using std::chrono::nanoseconds;

/// Pauses take no time, but the stand-in takes them for idle time; a minute passes whenever somebody looks.
class SimulatedClock final : public ane::explore::Clock {
 public:
  nanoseconds now() override { return now_ += std::chrono::minutes(1); }
  void sleep(nanoseconds time) override {
    now_ += time;
    standin().be_idle(time);
  }

 private:
  static ane::fakes::Control& standin() {
    namespace apple = ane::device::apple;
    static const apple::objc::Library library(apple::standard_libraries().neural_engine);
    return *reinterpret_cast<ane::fakes::ControlFunction*>(library.find(ane::fakes::kControlFunction))();
  }

  nanoseconds now_{0};
};

}  // namespace

/// Makes the processes that this one starts share its directory of programs and its cache, as on a Mac.
void share_home() {
  constexpr const char* kHome = "STANDIN_HOME";
  const std::string home =
      (std::filesystem::temp_directory_path() / ("ane-standin-" + std::to_string(::getpid()))).string();
  ::setenv(kHome, home.c_str(), 0);
}

/// ane-train on the stand-in. STANDIN_CLOCK=simulated: the pauses of experiments take no time.
int main(int /*argc*/, char** argv) {
  share_home();
  SimulatedClock clock;
  const bool is_simulated = std::getenv("STANDIN_CLOCK") != nullptr;
  return ane::test::run_faulty_program(argv, is_simulated ? &clock : nullptr);
}
