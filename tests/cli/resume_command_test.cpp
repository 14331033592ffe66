#include "ane/cli/resume_command.h"

#include <string>
#include <vector>

#include "support/catch.h"

using ane::cli::resume_command;
using Arguments = std::vector<std::string>;

TEST_CASE("a shell parses the resume command correctly", "[cli][signal]") {
  CHECK(resume_command(Arguments{"ane-train", "--data", "a b.txt"}, Arguments{"HOME=/", "ANE_ACCUM_STEPS=20"},
                       "my dir") == "ANE_ACCUM_STEPS=20 ane-train --data 'a b.txt' --checkpoint-dir 'my dir' --resume");
  CHECK(resume_command(Arguments{"ane-train", "train", "--steps", "9"}, Arguments{}, "c") ==
        "ane-train train --steps 9 --checkpoint-dir c --resume");
  CHECK(resume_command(Arguments{"t", "--checkpoint-dir=c", "--resume"}, Arguments{}, "c") ==
        "t --checkpoint-dir=c --resume");
}
