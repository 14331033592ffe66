#pragma once

#include <memory>
#include <span>

#include "ane/cli/settings.h"
#include "ane/data/source.h"
#include "ane/model/kernel_form.h"
#include "ane/model/kernel_plan.h"
#include "ane/model/model.h"
#include "ane/train/options.h"

/// From settings to what they mean.
namespace ane::cli {

/// Takes the model's dimensions, and nothing else, from the header of `--model FILE`, if there is such a setting; where
/// a checkpoint's directory is named, it becomes the file in it. A dimension that was given as well must agree (`seq`
/// may be less), else UsageError names both. A run that is resumed takes them from its newest checkpoint instead, and
/// needs the file no more. Throws FileError for a file that cannot be read, whose metadata hold anything but dimensions
/// where those belong, or whose size or tensors are not those of its dimensions.
void adopt_model_file(LoadedSettings& loaded);

/// The kernels of the settings' model, in whatever way they get their weights. Throws UsageError for dimensions that
/// make no model.
[[nodiscard]] model::KernelPlan make_plan(const Settings& settings, model::WeightMode weights);

/// `settings.weights` is settled. Throws UsageError for dimensions that make no model.
[[nodiscard]] std::unique_ptr<model::Model> make_model(const Settings& settings, const model::Engine& engine);

/// Weights from `--model FILE`, else fresh ones from the seed.
void fill_parameters(const Settings& settings, const model::Model& model, std::span<float> parameters);

/// `scan`: check every token of a file now.
[[nodiscard]] std::unique_ptr<data::Source> make_source(const Settings& settings, bool scan);

[[nodiscard]] train::TrainOptions train_options(const Settings& settings);

}  // namespace ane::cli
