#include "ane/cli/command_line.h"

#include <string>
#include <tuple>
#include <vector>

#include "ane/core/error.h"

#include "support/catch.h"

namespace {

using namespace ane;
using namespace ane::cli;
using Words = std::vector<std::string>;

CommandLine parse(const Words& arguments) {
  using Kind = CommandOption::Kind;
  const std::vector<Command> commands = {{"train",
                                          "Trains.",
                                          {{Kind::value, "steps", "N", "how long", "Run", "a whole number"},
                                           {Kind::toggle, "tied", "", "", "", "", "--untied"},
                                           {.kind = Kind::toggle, .name = "resume", .optional_value = "auto"}}},
                                         {"check",
                                          "Checks a file.",
                                          {{Kind::argument, "FILE", "", "what to check"},
                                           {Kind::value, "seed", "N", "for inputs"},
                                           {Kind::toggle, "run"}}},
                                         {"doctor", "Shows the machine.", {}}};
  return parse_command_line(commands, arguments);
}

}  // namespace

TEST_CASE("the first command needs no name", "[cli][command]") {
  for (const Words& arguments : {Words{"--steps", "3", "--untied"}, Words{"train", "--steps", "3", "--untied"}}) {
    CAPTURE(arguments);
    const CommandLine line = parse(arguments);
    CHECK(line.command == 0);
    CHECK(line.values == FlagValues{{"steps", "3"}, {"tied", "false"}});
    CHECK_FALSE(line.answer);
  }
  CHECK(parse({}).command == 0);
  CHECK(parse({}).values.empty());
}

TEST_CASE("the value of a toggle may be missing, and is one word if it is there", "[cli][command]") {
  CHECK(parse({"--resume"}).values == FlagValues{{"resume", "true"}});
  CHECK(parse({"--resume", "auto"}).values == FlagValues{{"resume", "auto"}});
  CHECK(parse({"--resume=auto"}).values == FlagValues{{"resume", "auto"}});
  CHECK(parse({"train", "--resume", "auto", "--steps", "3"}).values == FlagValues{{"resume", "auto"}, {"steps", "3"}});
  CHECK(parse({"--resume", "--steps", "3"}).values == FlagValues{{"resume", "true"}, {"steps", "3"}});
  CHECK_THROWS_WITH(parse({"--resume", "now"}), ANE_CONTAINS("unexpected argument 'now'"));
  CHECK_THROWS_WITH(parse({"--tied", "auto"}), ANE_CONTAINS("unexpected argument 'auto'"));
}

TEST_CASE("a command has its own options and arguments", "[cli][command]") {
  const CommandLine line = parse({"check", "a.mil", "--seed=7", "--run"});
  CHECK(line.command == 1);
  CHECK(line.values == FlagValues{{"FILE", "a.mil"}, {"seed", "7"}, {"run", "true"}});
  CHECK(parse({"check", "--seed", "7", "train"}).values == FlagValues{{"FILE", "train"}, {"seed", "7"}});
  CHECK(parse({"check", "--", "--odd"}).values == FlagValues{{"FILE", "--odd"}});
  CHECK(parse({"doctor"}).command == 2);
  CHECK(parse({"--steps", "doctor"}).values == FlagValues{{"steps", "doctor"}});  // load_settings() refuses it
}

TEST_CASE("errors of the command line name the word and the help that applies", "[cli][command]") {
  using Row = std::tuple<Words, std::string>;
  const auto [arguments, message] = GENERATE(values<Row>({
      {{"trian"}, "unknown command 'trian'; did you mean train? (see ane-train --help)"},
      {{"docter", "--run"}, "unknown command 'docter'; did you mean doctor? (see ane-train --help)"},
      {{"frobnicate"}, "unexpected argument 'frobnicate'; every setting is a flag (see ane-train --help)"},
      {{"--check.run"}, "unknown option --check.run (see ane-train --help)"},
      {{"train", "train"}, "unexpected argument 'train'"},
      {{"doctor", "doctor"}, "unexpected argument 'doctor' (see ane-train doctor --help)"},
      {{"train", "chec"}, "unexpected argument 'chec'; every setting is a flag (see ane-train --help)"},
      {{"--steps", "3", "check", "a"}, "unexpected argument 'check' (see ane-train check --help)"},
      {{"--steps", "3", "check"}, "unexpected argument 'check' (see ane-train check --help)"},
      {{"check", "a", "b"}, "unexpected argument 'b' (see ane-train check --help)"},
      {{"check"}, "FILE"},
      {{"check", "a", "--steps", "3"}, "unknown option --steps (see ane-train check --help)"},
      {{"check", "a", "--sed=3"}, "unknown option --sed; did you mean --seed? (see ane-train check --help)"},
      {{"--seed", "3"}, "unknown option --seed"},
      {{"doctor", "--tied"}, "unknown option --tied (see ane-train doctor --help)"},
      {{"--untie"}, "unknown option --untie; did you mean --untied? (see ane-train --help)"},
      {{"--steps"}, "--steps needs a value: N, a whole number (see ane-train --help)"},
      {{"train", "--steps"}, "--steps needs a value: N, a whole number (see ane-train --help)"},
      {{"--steps", "--tied"}, "--steps needs a value before --tied: N, a whole number (see ane-train --help)"},
      {{"check", "a", "--seed"}, "--seed needs a value: N (see ane-train check --help)"},
      {{"check", "a", "--seed", "--run"}, "--seed needs a value before --run: N (see ane-train check --help)"},
      {{"check", "a", "--seed", "1", "--seed", "2"}, "--seed is given 2 times; keep one (see ane-train check --help)"},
      {{"--tied", "--untied"}, "--tied is given 2 times; keep one (see ane-train --help)"},
      {{"train", "--steps", "1", "--steps=2"}, "--steps is given 2 times; keep one (see ane-train --help)"},
  }));
  CAPTURE(arguments);
  CHECK_THROWS_AS(parse(arguments), UsageError);
  CHECK_THROWS_WITH(parse(arguments), ANE_CONTAINS(message));
}

TEST_CASE("each command's help offers its own options", "[cli][command]") {
  const std::string program = parse({"--help"}).answer.value_or("");
  CHECK_THAT(program, ANE_CONTAINS("--steps") && ANE_CONTAINS("--tied") && ANE_CONTAINS("Exit codes"));
  CHECK_THAT(program, ANE_CONTAINS("Checks a file.") && ANE_CONTAINS("Shows the machine."));
  CHECK_THAT(program, !ANE_CONTAINS("--seed"));
  CHECK(parse({"train", "--help"}).answer == program);
  CHECK(parse({"train", "--steps", "3", "-h"}).answer == program);

  const std::string check = parse({"check", "--help"}).answer.value_or("");
  CHECK_THAT(check, ANE_CONTAINS("ane-train check") && ANE_CONTAINS("FILE") && ANE_CONTAINS("--seed"));
  CHECK_THAT(check, !ANE_CONTAINS("--steps"));
  CHECK_THAT(parse({"--version"}).answer.value_or(""), ANE_CONTAINS("ane-train "));
}
