#include "ane/app/parallel_sequences.h"

#include <string>

#include "ane/core/error.h"

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"

namespace {

using namespace ane;
using namespace cli_test;

cli::Settings settings(std::int64_t dim, std::int64_t seq, std::int64_t accum) {
  cli::Settings settings;
  settings.dim = dim;
  settings.seq = seq;
  settings.accum_steps = accum;
  return settings;
}

TEST_CASE("a small model has several batch slots, which divide a batch into equal rounds", "[app][slots]") {
  CHECK(app::parallel_sequences(settings(128, 64, 12), 1) == 1);
  CHECK(app::parallel_sequences(settings(128, 64, 12), 2) == 2);
  CHECK(app::parallel_sequences(settings(128, 64, 12), 8) == 6);
  CHECK(app::parallel_sequences(settings(128, 64, 12), 64) == 12);
  CHECK(app::parallel_sequences(settings(128, 64, 1), 8) == 1);
  CHECK(app::parallel_sequences(settings(128, 64, 5), 2) == 2);
  CHECK(app::parallel_sequences(settings(768, 256, 12), 8) == 1);

  // A larger one only if no thread is idle in the last round.
  CHECK(app::parallel_sequences(settings(288, 256, 10), 2) == 2);
  CHECK(app::parallel_sequences(settings(288, 256, 10), 4) == 1);
  CHECK(app::parallel_sequences(settings(288, 256, 5), 2) == 1);

  cli::Settings mlp = settings(128, 64, 12);
  mlp.family = model::Family::mlp;
  CHECK(app::parallel_sequences(mlp, 8) == 1);
}

TEST_CASE("a requested number of batch slots is used if each has a thread", "[app][slots]") {
  cli::Settings large = settings(768, 256, 12);
  large.parallel_sequences = 3;
  CHECK(app::parallel_sequences(large, 4) == 3);
  CHECK_THROWS_WITH(app::parallel_sequences(large, 2),
                    ANE_CONTAINS("--parallel-sequences 3") && ANE_CONTAINS("--threads 3"));
}

/// A small run on several threads.
Result run_with(const Words& more, const Folder& folder) {
  const Words words = with(with(kSmall, "--threads", "3"), "--accum-steps", "5");
  return Program(words + more, {}, folder.path()).wait();
}

TEST_CASE("a run with several batch slots loses nothing by restarts", "[app][slots]") {
  const Folder folder;
  const Words common{"--steps", "20"};
  const Result whole = run_with(common + Words{"--checkpoint-dir", "whole"}, folder);
  REQUIRE(whole.code == 0);
  CHECK_THAT(whole.out, ANE_CONTAINS("3 batch slots"));
  const Result cut = run_with(common + Words{"--checkpoint-dir", "cut", "--max-compiles", "20"}, folder);
  REQUIRE(cut.code == 0);
  CHECK_THAT(cut.out, !ANE_CONTAINS("Restarts:        0 ms"));
  for (const char* const file : {"model.safetensors", "first_moment.safetensors", "second_moment.safetensors"})
    CHECK(read_file(folder.path() / "whole/step-00000020" / file) ==
          read_file(folder.path() / "cut/step-00000020" / file));

  const Result alone = run_with(common + Words{"--parallel-sequences", "1"}, folder);
  REQUIRE(alone.code == 0);
  CHECK_THAT(alone.out, !ANE_CONTAINS("batch slots"));
}

TEST_CASE("free surfaces are kept for each batch slot", "[app][slots]") {
  constexpr const char* kOfOne = "9";  // surfaces that a sequence of this model needs at once
  const Folder folder;
  for (const char* const sequences : {"1", "3"}) {
    CAPTURE(sequences);
    const Result result =
        run_with({"--steps", "20", "--surface-pool", kOfOne, "--parallel-sequences", sequences}, folder);
    REQUIRE(result.code == 0);
    CHECK_THAT(result.out, ANE_CONTAINS(" 0 released"));
  }
}

TEST_CASE("a dry run reports batch slots and counts the memory of each", "[app][slots]") {
  const Folder folder;
  const auto memory_line = [&](const char* sequences) {
    const Result result = run_with({"--dry-run", "--no-time", "--parallel-sequences", sequences}, folder);
    REQUIRE(result.code == 0);
    const std::size_t begin = result.out.find("Memory: ");
    return result.out.substr(begin, result.out.find('\n', begin) - begin);
  };
  CHECK_THAT(memory_line("1"), ANE_CONTAINS("activations 90.5 KB, surfaces 92.2 KB"));
  CHECK_THAT(memory_line("2"), ANE_CONTAINS("activations 181.0 KB, surfaces 184.3 KB"));
  CHECK_THAT(run_with({"--dry-run", "--no-time"}, folder).out, ANE_CONTAINS("3 batch slots"));
}

TEST_CASE("more batch slots than threads are refused", "[app][slots]") {
  const Folder folder;
  const Result result = run_with({"--steps", "2", "--parallel-sequences", "4"}, folder);
  CHECK(result.code == 2);
  CHECK_THAT(result.err, ANE_CONTAINS("--parallel-sequences 4 needs one thread for each, but there are 3"));
}

}  // namespace
