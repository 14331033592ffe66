#include <utility>

#include "setting_groups.h"
#include "setting_kinds.h"

namespace ane::cli {

namespace {

/// A toggle with a third value.
Setting resume_row(Setting row) {
  const std::string shown = std::exchange(row.placeholder, {});
  row = choice<ResumeChoice>(
      std::move(row), &Settings::resume,
      {{"true", ResumeChoice::always}, {"false", ResumeChoice::never}, {"auto", ResumeChoice::automatic}});
  row.kind = ValueKind::toggle;
  row.placeholder = shown;
  return row;
}

}  // namespace

std::vector<Setting> output_rows() {
  return {
      whole({.name = "val-every",
             .group = "Output",
             .placeholder = "N",
             .help = "updates between validations; 0: only at the end",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::val_every, 0, kBillion),
      whole({.name = "val-samples",
             .group = "Output",
             .placeholder = "N",
             .help = "sequences per validation; 0: all held-out ones",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::val_samples, 0, kBillion),
      whole({.name = "sample-every",
             .group = "Output",
             .placeholder = "N",
             .help = "updates between samples of text that continue --sample-prompt, with one more at the end; "
                     "0: none",
             .llama_only = true,
             .from_checkpoint = FromCheckpoint::always},
            &Settings::sample_every, 0, kBillion),
      text({.name = "sample-prompt",
            .group = "Output",
            .placeholder = "TEXT",
            .help = "the text that samples continue",
            .llama_only = true,
            .from_checkpoint = FromCheckpoint::always,
            .expects = "a text"},
           &Settings::sample_prompt),
      whole({.name = "sample-tokens",
             .group = "Output",
             .placeholder = "N",
             .help = "maximum number of tokens of a sample, each of which costs a forward pass; --seq also limits it",
             .llama_only = true,
             .from_checkpoint = FromCheckpoint::always},
            &Settings::sample_tokens, 1, kMillion),
      text({.name = "checkpoint-dir",
            .group = "Output",
            .placeholder = "DIR",
            .help = "directory of the checkpoints, including one at the end of the run; one run at a time",
            .paths = Paths::one},
           &Settings::checkpoint_dir),
      whole({.name = "checkpoint-every",
             .group = "Output",
             .placeholder = "N",
             .help = "updates between checkpoints; 0: only at the end",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::checkpoint_every, 0, kBillion),
      whole({.name = "checkpoint-minutes",
             .group = "Output",
             .placeholder = "M",
             .help = "minutes between checkpoints; 0: off",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::checkpoint_minutes, 0, kMillion),
      whole({.name = "keep-checkpoints",
             .group = "Output",
             .placeholder = "K",
             .help = "number of checkpoints to keep; older ones are removed when a new one is complete",
             .from_checkpoint = FromCheckpoint::if_larger},
            &Settings::keep_checkpoints, 1, kMillion),
      toggle({.name = "keep-best",
              .group = "Output",
              .placeholder = "",
              .help = "also keep the checkpoint with the lowest validation loss",
              .from_checkpoint = FromCheckpoint::always},
             &Settings::keep_best),
      resume_row({.name = "resume",
                  .group = "Output",
                  .placeholder = "[auto]",
                  .help = "resume from the newest checkpoint in --checkpoint-dir, with its settings unless others are "
                          "given; --resume auto starts a new run if there is none",
                  .command_line_only = true,
                  .optional_value = "auto"}),
      text({.name = "telemetry",
            .group = "Output",
            .placeholder = "FILE",
            .help = "append JSON lines about the run",
            .paths = Paths::one},
           &Settings::telemetry),
      text({.name = "report",
            .group = "Output",
            .placeholder = "FILE",
            .help = "at the end, write a page with charts of --telemetry, like ane-train report",
            .paths = Paths::one},
           &Settings::report),
      text({.name = "profile",
            .group = "Output",
            .placeholder = "FILE",
            .help = "write a trace of the run for ui.perfetto.dev",
            .paths = Paths::one},
           &Settings::profile),
      choice<OutputChoice>({.name = "output",
                            .group = "Output",
                            .help = "what a run prints: lines for people (plain), lines that dashboards read, or only "
                                    "the report (quiet); auto: plain on a terminal, else dashboard"},
                           &Settings::output,
                           {{"auto", OutputChoice::automatic},
                            {"plain", OutputChoice::plain},
                            {"dashboard", OutputChoice::dashboard},
                            {"quiet", OutputChoice::quiet}}),
      toggle({.name = "verbose", .group = "Output", .placeholder = "", .help = "plain output also shows restarts"},
             &Settings::verbose),
      whole({.name = "log-every",
             .group = "Output",
             .placeholder = "N",
             .help = "steps between lines; in plain output, a line follows the first update after that many steps, and "
                     "every validation"},
            &Settings::log_every, 1, kBillion),
      text({.name = "dump-mil",
            .group = "Output",
            .placeholder = "DIR",
            .help = "write the MIL text and weight blobs of every kernel, once",
            .paths = Paths::one},
           &Settings::dump_mil),
  };
}

}  // namespace ane::cli
