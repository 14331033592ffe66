#include "ane/train/optimizer.h"

#include "setting_groups.h"
#include "setting_kinds.h"

namespace ane::cli {

namespace {

// The square of a gradient below 1.5e-19 is 0 in fp32, but the gradient itself is not: with a smaller eps in the
// denominator, a step would be many times lr.
constexpr double kLeastEps = 1e-18;

std::vector<std::pair<std::string_view, train::OptimizerKind>> optimizer_names() {
  std::vector<std::pair<std::string_view, train::OptimizerKind>> names;
  for (const train::OptimizerInfo& optimizer : train::all_optimizers())
    names.emplace_back(optimizer.name, optimizer.kind);
  return names;
}

}  // namespace

std::vector<Setting> optimizer_rows() {
  using train::OptimizerKind;
  using train::OptimizerOptions;
  using train::ScheduleKind;
  return {
      choice<OptimizerKind>(
          {.name = "optimizer",
           .group = "Optimizer",
           .help = "update rule; muon updates the matrices of the layers by Muon, and all other parameters by AdamW",
           .from_checkpoint = FromCheckpoint::always},
          &OptimizerOptions::kind, optimizer_names()),
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
      real({.name = "momentum",
            .group = "Optimizer",
            .placeholder = "X",
            .help = "momentum of sgd, or of muon's matrices (there the default is 0.95)",
            .from_checkpoint = FromCheckpoint::always},
           &OptimizerOptions::momentum, {0, 1, true}),
      real({.name = "beta1",
            .group = "Optimizer",
            .placeholder = "X",
            .help = "decay of AdamW's first moment; with lion, the weight of the first moment in a step",
            .from_checkpoint = FromCheckpoint::always},
           &OptimizerOptions::beta1, {0, 1, true}),
      real({.name = "beta2",
            .group = "Optimizer",
            .placeholder = "X",
            .help = "decay of AdamW's second moment; with lion, of the first moment (there the default is 0.99)",
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

}  // namespace ane::cli
