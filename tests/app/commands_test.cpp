#include <string>

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"

namespace {

using namespace cli_test;

}  // namespace

TEST_CASE("the training command can be named explicitly, also in restarted processes", "[app][command]") {
  const Folder folder;
  const Words settings = kSmall + Words{"--steps", "8", "--checkpoint-dir"};
  const Words environment = {"ANE_MAX_COMPILES=6"};
  REQUIRE(run(settings + Words{"unnamed"}, environment, folder.path()).code == 0);
  const Result named = run(Words{"train"} + settings + Words{"named"}, environment, folder.path());
  CAPTURE(named.out, named.err);
  REQUIRE(named.code == 0);
  CHECK(count(named.out, "[exec() restart") >= 3);
  const std::string file = "/step-00000008/model.safetensors";
  CHECK((read_file(folder / ("named" + file)) == read_file(folder / ("unnamed" + file))));
}

TEST_CASE("each command offers its own options", "[app][command]") {
  const Result training = run({"--help"});
  CHECK_THAT(training.out, ANE_CONTAINS("--steps") && ANE_CONTAINS("Checks MIL text") && ANE_CONTAINS("Shows what"));
  CHECK_THAT(training.out, !ANE_CONTAINS("--compare"));
  const Result mil = run({"mil", "--help"});
  CHECK_THAT(mil.out, ANE_CONTAINS("--compare") && ANE_CONTAINS("FILE"));
  CHECK_THAT(mil.out, !ANE_CONTAINS("--steps"));
  const Result doctor = run({"doctor", "--help"});
  CHECK_THAT(doctor.out, ANE_CONTAINS("--device") && ANE_CONTAINS("--ane-qos"));
  CHECK_THAT(doctor.out, !ANE_CONTAINS("--steps") && !ANE_CONTAINS("ANE_DEVICE"));
  for (const Words& others : {Words{"doctor", "--steps", "3"}, Words{"mil", "x.mil", "--ane-qos", "3"}}) {
    const Result refused = run(others);
    CAPTURE(refused.err);
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, ANE_CONTAINS("unknown option --"));
  }
}

TEST_CASE("a mistyped command suggests the nearest one", "[app][command]") {
  const Result result = run({"docter"});
  CHECK(result.code == 2);
  CHECK_THAT(result.err, ANE_CONTAINS("unknown command 'docter'; did you mean doctor?"));
}
