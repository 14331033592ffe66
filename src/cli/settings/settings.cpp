#include "ane/cli/settings.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "ane/device/budget.h"
#include "ane/surface/pool.h"

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

// The square of a gradient below 1.5e-19 is 0 in fp32, but the gradient itself is not: with a smaller eps in the
// denominator, a step would be many times lr.
constexpr double kLeastEps = 1e-18;
constexpr std::int64_t kMillion = 1000000;
constexpr std::int64_t kBillion = 1000 * kMillion;
constexpr std::int64_t kMostSteps = 1000 * kBillion;
constexpr std::int64_t kMostDimension = kMillion;

std::vector<Setting> run_rows() {
  return {
      whole({.name = "steps",
             .group = "Run",
             .placeholder = "N",
             .help = "number of training sequences; an update follows every --accum-steps sequences",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::steps, 1, kMostSteps),
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
            .help = "token that ends a text, by name or number; without it the one that the files of the model name",
            .llama_only = true,
            .from_checkpoint = FromCheckpoint::always},
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
              .help = "print kernels, compiles, restarts and memory without running anything",
              .command_line_only = true},
             &Settings::dry_run),
      toggle({.name = "print-config",
              .group = "Run",
              .placeholder = "",
              .help = "print every setting and the origin of its value without running anything",
              .command_line_only = true},
             &Settings::print_config),
  };
}

std::vector<Setting> model_rows() {
  return {
      choice<model::Family>({.name = "family",
                             .group = "Model",
                             .help = "family of the model",
                             .from_checkpoint = FromCheckpoint::always},
                            &Settings::family,
                            {{"llama", model::Family::llama},
                             {"qwen2", model::Family::qwen2},
                             {"qwen3", model::Family::qwen3},
                             {"mlp", model::Family::mlp}}),
      text(
          {.name = "model",
           .group = "Model",
           .placeholder = "DIR|FILE",
           .help = "initial weights: a Hugging Face model directory, a checkpoint's directory, a .safetensors file, or "
                   "llama2.c's .bin",
           .paths = Paths::one,
           .from_checkpoint = FromCheckpoint::always},
          &Settings::model),
      whole({.name = "dim",
             .group = "Model",
             .placeholder = "N",
             .help = "width of the model",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::dim, 1, kMostDimension),
      whole({.name = "hidden",
             .group = "Model",
             .placeholder = "N",
             .help = "width of the feed-forward layer",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::hidden, 1, kMostDimension),
      whole({.name = "layers",
             .group = "Model",
             .placeholder = "N",
             .help = "transformer layers",
             .llama_only = true,
             .from_checkpoint = FromCheckpoint::always},
            &Settings::layers, 1, 1000),
      whole({.name = "heads",
             .group = "Model",
             .placeholder = "N",
             .help = "attention heads",
             .llama_only = true,
             .from_checkpoint = FromCheckpoint::always},
            &Settings::heads, 1, kMostDimension),
      whole({.name = "kv-heads",
             .group = "Model",
             .placeholder = "N",
             .help = "key and value heads, fewer for grouped-query attention",
             .llama_only = true,
             .from_checkpoint = FromCheckpoint::always},
            &Settings::kv_heads, 1, kMostDimension, {"heads"}),
      whole({.name = "head-dim",
             .group = "Model",
             .placeholder = "N",
             .help = "width of an attention head; auto: dim / heads",
             .llama_only = true,
             .from_checkpoint = FromCheckpoint::always},
            &Settings::head_dim, 2, kMostDimension, {"auto"}),
      whole({.name = "vocab",
             .group = "Model",
             .placeholder = "N",
             .help = "vocabulary size",
             .llama_only = true,
             .from_checkpoint = FromCheckpoint::always},
            &Settings::vocab, 2, kMostDimension),
      whole({.name = "seq",
             .group = "Model",
             .placeholder = "N",
             .help = "tokens per sequence",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::seq, 1, kMostDimension),
      toggle({.name = "tied",
              .group = "Model",
              .placeholder = "",
              .help = "the classifier shares the embedding's weights (--untied: separate weights)",
              .negation = "--untied",
              .llama_only = true,
              .from_checkpoint = FromCheckpoint::always},
             &Settings::tied),
      real({.name = "rope-theta",
            .group = "Model",
            .placeholder = "X",
            .help = "base of the rotary position embedding's frequencies",
            .llama_only = true,
            .from_checkpoint = FromCheckpoint::always},
           &Settings::rope_theta, {1, 1e12}),
      rope_scaling(
          {.name = "rope-scaling",
           .group = "Model",
           .placeholder = "TYPE",
           .help = "adapts RoPE to long sequences: none, or llama3:FACTOR:LOW:HIGH:POSITIONS with the low and high "
                   "frequency factors and the positions of the original training",
           .llama_only = true,
           .from_checkpoint = FromCheckpoint::always},
          &Settings::rope_scaling),
      real({.name = "norm-eps",
            .group = "Model",
            .placeholder = "X",
            .help = "added to the mean square in RMSNorm",
            .llama_only = true,
            .from_checkpoint = FromCheckpoint::always},
           &Settings::norm_eps, {1e-12, 1}),
  };
}

std::vector<Setting> optimizer_rows() {
  using train::OptimizerKind;
  using train::OptimizerOptions;
  using train::ScheduleKind;
  return {
      choice<OptimizerKind>(
          {.name = "optimizer", .group = "Optimizer", .help = "update rule", .from_checkpoint = FromCheckpoint::always},
          &OptimizerOptions::kind, {{"adamw", OptimizerKind::adamw}, {"sgd", OptimizerKind::sgd}}),
      real({.name = "lr",
            .group = "Optimizer",
            .placeholder = "X",
            .help = "learning rate, the maximum of a schedule",
            .from_checkpoint = FromCheckpoint::always},
           &OptimizerOptions::lr, {0, 1000}),
      real({.name = "min-lr",
            .group = "Optimizer",
            .placeholder = "X",
            .help = "learning rate at the end of a cosine schedule",
            .from_checkpoint = FromCheckpoint::always},
           &OptimizerOptions::min_lr, {0, 1000}),
      whole({.name = "warmup",
             .group = "Optimizer",
             .placeholder = "N",
             .help = "updates over which the learning rate rises from 0",
             .from_checkpoint = FromCheckpoint::always},
            &OptimizerOptions::warmup, 0, kBillion),
      choice<ScheduleKind>({.name = "schedule",
                            .group = "Optimizer",
                            .help = "learning-rate schedule after warm-up",
                            .from_checkpoint = FromCheckpoint::always},
                           &OptimizerOptions::schedule,
                           {{"constant", ScheduleKind::constant}, {"cosine", ScheduleKind::cosine}}),
      real({.name = "beta1",
            .group = "Optimizer",
            .placeholder = "X",
            .help = "decay of AdamW's first moment",
            .from_checkpoint = FromCheckpoint::always},
           &OptimizerOptions::beta1, {0, 1, true}),
      real({.name = "beta2",
            .group = "Optimizer",
            .placeholder = "X",
            .help = "decay of AdamW's second moment",
            .from_checkpoint = FromCheckpoint::always},
           &OptimizerOptions::beta2, {0, 1, true}),
      real({.name = "eps",
            .group = "Optimizer",
            .placeholder = "X",
            .help = "AdamW's epsilon, which prevents division by 0",
            .from_checkpoint = FromCheckpoint::always},
           &OptimizerOptions::eps, {kLeastEps, 1}),
      real({.name = "weight-decay",
            .group = "Optimizer",
            .placeholder = "X",
            .help = "decoupled weight decay of matrices and embeddings",
            .from_checkpoint = FromCheckpoint::always},
           &OptimizerOptions::weight_decay, {0, 1000}),
      real({.name = "grad-clip",
            .group = "Optimizer",
            .placeholder = "X",
            .help = "largest global gradient norm; 0: no clipping",
            .from_checkpoint = FromCheckpoint::always},
           &OptimizerOptions::grad_clip, {0, 1e9}),
      real({.name = "loss-scale",
            .group = "Optimizer",
            .placeholder = "X|dynamic",
            .help = "factor that keeps small fp16 gradients from vanishing",
            .from_checkpoint = FromCheckpoint::always},
           &Settings::loss_scale, {1, 65536}, {"dynamic"}),
      whole({.name = "give-up-after",
             .group = "Optimizer",
             .placeholder = "N",
             .help = "consecutive updates skipped because of overflows after which the run ends as diverged",
             .from_checkpoint = FromCheckpoint::always},
            &Settings::give_up_after, 1, kMillion),
  };
}

std::vector<Setting> device_rows() {
  return {
      choice<DeviceChoice>(
          {.name = "device",
           .group = "Device",
           .help = "device that runs the kernels: the ANE, the CPU (host), or the ANE if there is one (auto)",
           .environment = "ANE_DEVICE"},
          &Settings::device,
          {{"auto", DeviceChoice::automatic}, {"ane", DeviceChoice::ane}, {"host", DeviceChoice::host}}),
      choice<model::PlanChoice>({.name = "plan",
                                 .group = "Device",
                                 .help = "how a layer's step is divided into kernels: as is known to train on the ANE, "
                                         "or with attention's backward pass in one kernel, for fewer compiles",
                                 .llama_only = true,
                                 .from_checkpoint = FromCheckpoint::always},
                                &Settings::plan,
                                {{"split", model::PlanChoice::split}, {"merged", model::PlanChoice::merged}}),
      choice<model::RopeForm>({.name = "rope",
                               .group = "Device",
                               .help = "how attention rotates pairs of channels: by a product with a constant matrix, "
                                       "or by slices; ane-train doctor shows which a device computes correctly",
                               .llama_only = true,
                               .from_checkpoint = FromCheckpoint::always},
                              &Settings::rope,
                              {{"matrix", model::RopeForm::matrix}, {"slices", model::RopeForm::slices}}),
      choice<WeightsChoice>(
          {.name = "weights",
           .group = "Device",
           .help = "how weights reach the kernels: compiled into them, as part of their input (compiled once), or "
                   "dynamic on an ANE that accepts such kernels (auto)",
           .environment = "ANE_WEIGHTS",
           .from_checkpoint = FromCheckpoint::always},
          &Settings::weights,
          {{"baked", WeightsChoice::baked}, {"dynamic", WeightsChoice::dynamic}, {"auto", WeightsChoice::automatic}}),
      toggle({.name = "pipeline",
              .group = "Device",
              .placeholder = "",
              .help = "compile baked weights during the steps; each batch is then stale by one update",
              .environment = "ANE_PIPELINE",
              .from_checkpoint = FromCheckpoint::always},
             &Settings::pipeline),
      choice<mil::DType>({.name = "precision",
                          .group = "Device",
                          .help = "element type of the kernels; fp32 only on the host",
                          .from_checkpoint = FromCheckpoint::always},
                         &Settings::precision, {{"fp16", mil::DType::fp16}, {"fp32", mil::DType::fp32}}),
      whole({.name = "max-compiles",
             .group = "Device",
             .placeholder = "N",
             .help = fmt::format("compiles after which the process re-executes itself; auto: {} on the ANE, whose "
                                 "compiler allows about {}, and no limit on the host",
                                 device::CompileBudget::kDefault, device::CompileBudget::kAneHardLimit),
             .environment = "ANE_MAX_COMPILES"},
            &Settings::max_compiles, 1, kMillion, {"auto"}),
      whole({.name = "threads", .group = "Device", .placeholder = "N", .help = "compute threads"}, &Settings::threads,
            1, 256, {"auto"}),
      whole({.name = "parallel-sequences",
             .group = "Device",
             .placeholder = "N",
             .help = "batch slots: sequences that the host computes concurrently, one thread each; auto: several for a "
                     "small model",
             .llama_only = true},
            &Settings::parallel_sequences, 1, 256, {"auto"}),
      whole({.name = "surface-pool",
             .group = "Device",
             .placeholder = "N",
             .help = "free surfaces kept for reuse per batch slot, which needs about two per layer and ten more"},
            &Settings::surface_pool, 0, kMillion),
  };
}

std::vector<Setting> fine_tuning_rows() {
  return {
      text({.name = "lora",
            .group = "Fine-tuning",
            .placeholder = "RANK|DIR",
            .help = "train only a low-rank adapter of --model: a new one of this rank, or the adapter in DIR (of PEFT "
                    "or MLX)",
            .llama_only = true,
            .paths = Paths::one_unless_number,
            .from_checkpoint = FromCheckpoint::always},
           &Settings::lora),
      real({.name = "lora-alpha",
            .group = "Fine-tuning",
            .placeholder = "X",
            .help = "the adapter's result is multiplied by alpha / rank; auto: twice the rank",
            .llama_only = true,
            .from_checkpoint = FromCheckpoint::always},
           &Settings::lora_alpha, {0, kMillion}, {"auto"}),
      text({.name = "lora-targets",
            .group = "Fine-tuning",
            .placeholder = "NAMES",
            .help = "matrices that get an adapter, separated by commas: names of projections, or of single matrices "
                    "(model.layers.0.self_attn.q_proj)",
            .llama_only = true,
            .from_checkpoint = FromCheckpoint::always},
           &Settings::lora_targets),
      toggle({.name = "lora-rs",
              .group = "Fine-tuning",
              .placeholder = "",
              .help = "multiply the adapter's result by alpha / sqrt(rank) instead",
              .llama_only = true,
              .from_checkpoint = FromCheckpoint::always},
             &Settings::lora_rank_stabilized),
      text({.name = "freeze",
            .group = "Fine-tuning",
            .placeholder = "PATTERNS",
            .help = "parameters of --model that are not trained: patterns of their names, separated by commas "
                    "(*.embed_tokens.*,model.layers.0.*)",
            .llama_only = true,
            .from_checkpoint = FromCheckpoint::always},
           &Settings::freeze),
  };
}

/// Where reports about Apple's framework disagree, the default is the safest choice; these settings select the others.
std::vector<Setting> ane_rows() {
  return {
      whole({.name = "ane-qos", .group = "ANE", .placeholder = "N", .help = "quality of service of every call"},
            &Settings::ane_qos, 0, 63),
      whole({.name = "ane-load-retries",
             .group = "ANE",
             .placeholder = "N",
             .help = "retries of a failed program load, 100 ms apart"},
            &Settings::ane_load_retries, 0, 100),
      whole({.name = "ane-cancel-retries",
             .group = "ANE",
             .placeholder = "N",
             .help = "retries of a run that a power transition cancelled, 3 ms apart"},
            &Settings::ane_cancel_retries, 0, 10000),
      toggle({.name = "ane-purge-cache",
              .group = "ANE",
              .placeholder = "",
              .help = "purge a program from the system's cache after unloading it; otherwise every update leaves its "
                      "weights there",
              .negation = "--no-ane-purge-cache"},
             &Settings::ane_purge_cache),
      toggle({.name = "ane-compare-attributes",
              .group = "ANE",
              .placeholder = "",
              .help = "compare the compiled program's description of its inputs and outputs with the bound surfaces",
              .negation = "--no-ane-compare-attributes"},
             &Settings::ane_compare_attributes),
  };
}

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
              .help = "also write and keep a checkpoint of the lowest validation loss",
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

std::vector<Setting> all_rows() {
  std::vector<Setting> rows;
  for (std::vector<Setting> group :
       {run_rows(), model_rows(), fine_tuning_rows(), optimizer_rows(), device_rows(), ane_rows(), output_rows()}) {
    std::move(group.begin(), group.end(), std::back_inserter(rows));
  }
  return rows;
}

}  // namespace

std::string Setting::flag() const { return fmt::format("--{}", name); }

std::string Setting::key() const {
  std::string key(name);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

std::span<const Setting> settings_table() {
  static const std::vector<Setting> rows = all_rows();
  return rows;
}

const Setting& setting(std::string_view name) {
  const std::span<const Setting> rows = settings_table();
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Setting& row) { return row.name == name; });
  return *found;
}

}  // namespace ane::cli
