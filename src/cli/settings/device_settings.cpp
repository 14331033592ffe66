#include <fmt/format.h>

#include "ane/device/budget.h"
#include "ane/surface/pool.h"

#include "setting_groups.h"
#include "setting_kinds.h"

namespace ane::cli {

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
                                 .help = "how a layer's step is divided into kernels: six, which are known to train on "
                                         "the ANE (split), or four, which need fewer compiles (merged)",
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
           .help =
               "how weights reach the kernels: compiled into them (baked), or with their input, so that kernels are "
               "compiled only once (dynamic); auto: dynamic on an ANE that accepts such kernels, else baked",
           .environment = "ANE_WEIGHTS",
           .from_checkpoint = FromCheckpoint::always},
          &Settings::weights,
          {{"baked", WeightsChoice::baked}, {"dynamic", WeightsChoice::dynamic}, {"auto", WeightsChoice::automatic}}),
      choice<PackingChoice>(
          {.name = "packing",
           .group = "Device",
           .help = "where the input of kernels has weights: beside the activations (width), or below them (channels), "
                   "so that no kernel slices inside the last axis; auto: channels on an ANE for which the former "
                   "breaks a rule, else width"},
          &Settings::packing,
          {{"width", PackingChoice::width}, {"channels", PackingChoice::channels}, {"auto", PackingChoice::automatic}}),
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
             .help = fmt::format("compiles after which the process re-executes itself, or a worker is replaced "
                                 "(--compile-in); auto: {} on the ANE, whose compiler allows about {}, or four fifths "
                                 "of what ane-train doctor --explore found, and no limit on the host",
                                 device::CompileBudget::kDefault, device::CompileBudget::kAneHardLimit),
             .environment = "ANE_MAX_COMPILES"},
            &Settings::max_compiles, 1, kMillion, {"auto"}),
      choice<CompileIn>(
          {.name = "compile-in",
           .group = "Device",
           .help = "where a training run compiles for the ANE: in its own process, which re-executes itself at the "
                   "limit, or in workers, from which the run takes programs through the system's cache and never "
                   "restarts; auto: worker if ane-train doctor --explore found that this works, else process",
           .environment = "ANE_COMPILE_IN"},
          &Settings::compile_in,
          {{"process", CompileIn::process}, {"worker", CompileIn::worker}, {"auto", CompileIn::automatic}}),
      whole({.name = "compile-workers",
             .group = "Device",
             .placeholder = "N",
             .help = "workers that compile at the same time"},
            &Settings::compile_workers, 1, 16),
      whole({.name = "threads", .group = "Device", .placeholder = "N", .help = "compute threads"}, &Settings::threads,
            1, 256, {"auto"}),
      whole({.name = "parallel-sequences",
             .group = "Device",
             .placeholder = "N",
             .help = "batch slots: sequences that the host computes concurrently, one thread each; auto: several for a "
                     "small model",
             .llama_only = true},
            &Settings::parallel_sequences, 1, 256, {"auto"}),
      whole({.name = "rank-timeout",
             .group = "Device",
             .placeholder = "SECONDS",
             .help = "on several machines: how long the ranks wait for one of them before they end the run"},
            &Settings::rank_timeout, 1, kMillion),
      toggle({.name = "allow-mixed-devices",
              .group = "Device",
              .placeholder = "",
              .help = "on several machines: train although the ranks have different devices, which round differently"},
             &Settings::allow_mixed_devices),
      whole({.name = "surface-pool",
             .group = "Device",
             .placeholder = "N",
             .help = "free surfaces that each batch slot keeps for reuse; it needs about ten, and two more per layer"},
            &Settings::surface_pool, 0, kMillion),
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

}  // namespace ane::cli
