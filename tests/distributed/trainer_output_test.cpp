#include "trainer_output.h"

#include <array>
#include <string>
#include <vector>

#include <unistd.h>

#include "support/catch.h"

namespace {

using ane::Descriptor;
using ane::distributed::TrainerOutput;

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    out = Descriptor(ends[0]);
    in = Descriptor(ends[1]);
  }
  void write(const std::string& text) const {
    REQUIRE(::write(in.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  Descriptor out, in;
};

}  // namespace

TEST_CASE("of what a trainer prints, warnings are passed on with the rank's name", "[distributed]") {
  Pipe pipe;
  TrainerOutput output(std::move(pipe.out));
  pipe.write("12:00:00 info a note\nnoise\n12:00:01 warning first\n  second line\n12:00:02 warn");
  CHECK(output.read_warnings("rank 1 (a)") ==
        std::vector<std::string>{"12:00:01 warning rank 1 (a): first\n  second line"});
  CHECK(output.read_warnings("rank 1 (a)").empty());
  pipe.write("ing next\nane-train: a fault\nof two lines\n");
  CHECK(output.read_warnings("rank 1 (a)") == std::vector<std::string>{"12:00:02 warning rank 1 (a): next"});
  CHECK(output.error() == "a fault\nof two lines");
  CHECK(output.descriptor() >= 0);
  pipe.in = Descriptor();
  CHECK(output.read_warnings("rank 1 (a)").empty());
  CHECK(output.descriptor() == Descriptor::kNone);
}

TEST_CASE("a trainer that prints itself has no warnings to pass on", "[distributed]") {
  TrainerOutput output{Descriptor()};
  CHECK(output.read_warnings("rank 0").empty());
  CHECK(output.error().empty());
}
