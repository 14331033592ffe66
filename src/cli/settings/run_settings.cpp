#include <limits>

#include "setting_groups.h"
#include "setting_kinds.h"

namespace ane::cli {

namespace {
constexpr std::int64_t kMostSteps = 1000 * kBillion;
constexpr double kMostMinutes = 10'000'000;
}  // namespace

std::vector<Setting> run_rows() {
  return {
      whole({.name = "steps",
             .group = "Run",
             .placeholder = "N",
             .help = "number of training sequences; an update follows every --accum-steps sequences",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::steps, 1, kMostSteps),
      real(
          {.name = "max-minutes",
           .group = "Run",
           .placeholder = "M",
           .help = "time limit in minutes, including restarts: the run ends after the update in progress, with a "
                   "checkpoint; "
                   "each command has its own limit, also with --resume; without --steps, train until the time is over"},
          &Settings::max_minutes, {.least = 0, .most = kMostMinutes, .positive = true}, {"none"}),
      text({.name = "config",
            .group = "Run",
            .placeholder = "NAME|FILE",
            .help = "name of a config (tiny, shakespeare, stories15m, stories110m) or a .json file",
            .command_line_only = true},
           &Settings::config),
      text({.name = "data",
            .group = "Run",
            .placeholder = "FILES|DIR|-|synthetic",
            .help = "text (.txt), records (.jsonl) or tokens (.bin): files separated by commas, or a directory; -: "
                    "standard input; synthetic: a Markov chain",
            .paths = Paths::data,
            .from_checkpoint = FromCheckpoint::always},
           &Settings::data),
      choice<data::Format>({.name = "data-format",
                            .group = "Run",
                            .help = "what the files contain; auto: tokens if there is a header or the name ends in "
                                    ".bin, records if it ends in .jsonl, else text",
                            .from_checkpoint = FromCheckpoint::always},
                           &Settings::data_format,
                           {{"auto", data::Format::automatic},
                            {"text", data::Format::text},
                            {"tokens", data::Format::tokens},
                            {"jsonl", data::Format::records}}),
      text(
          {.name = "tokenizer",
           .group = "Run",
           .placeholder = "FILE|DIR",
           .help =
               "tokenizer for text and records, which also sets the vocabulary of a new model; default: the one beside "
               "the model, or bytes",
           .llama_only = true,
           .paths = Paths::one},
          &Settings::tokenizer),
      text({.name = "end-token",
            .group = "Run",
            .placeholder = "NAME|N",
            .help = "token that ends a text, by name or number; default: the one that the model's files name",
            .llama_only = true,
            .from_checkpoint = FromCheckpoint::always,
            .expects = "the name or number of a token"},
           &Settings::end_token),
      toggle({.name = "mask-prompt",
              .group = "Run",
              .placeholder = "",
              .help = "compute the loss only on completions and on the last message of the assistant",
              .llama_only = true,
              .from_checkpoint = FromCheckpoint::always},
             &Settings::mask_prompt),
      toggle({.name = "skip-bad-records",
              .group = "Run",
              .placeholder = "",
              .help = "skip records that are not valid, and report how many; otherwise the first one is an error",
              .llama_only = true,
              .from_checkpoint = FromCheckpoint::always},
             &Settings::skip_bad_records),
      choice<data::Order>({.name = "data-order",
                           .group = "Run",
                           .help = "order of the sequences: from random positions, or the file in order",
                           .from_checkpoint = FromCheckpoint::always},
                          &Settings::data_order,
                          {{"random", data::Order::random}, {"sequential", data::Order::sequential}}),
      whole({.name = "seed",
             .group = "Run",
             .placeholder = "N",
             .help = "seed of new weights and of the data order",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::seed, 0, std::numeric_limits<std::int64_t>::max()),
      whole({.name = "accum-steps",
             .group = "Run",
             .placeholder = "N",
             .help = "sequences per update, whose gradients are averaged, and thus per compile round",
             .environment = "ANE_ACCUM_STEPS",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::accum_steps, 1, kMillion),
      toggle({.name = "dry-run",
              .group = "Run",
              .placeholder = "",
              .help = "print kernels, compiles, restarts, memory and the predicted time of the run, without training",
              .command_line_only = true},
             &Settings::dry_run),
      toggle({.name = "time",
              .group = "Run",
              .placeholder = "",
              .help = "with --dry-run, measure a few steps and compile rounds and predict the run's time (--no-time: "
                      "skip this)",
              .negation = "--no-time",
              .command_line_only = true},
             &Settings::time),
      toggle({.name = "print-config",
              .group = "Run",
              .placeholder = "",
              .help = "print every setting and the origin of its value without running anything",
              .command_line_only = true},
             &Settings::print_config),
  };
}

}  // namespace ane::cli
