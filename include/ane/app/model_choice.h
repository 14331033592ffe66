#pragma once

#include <memory>
#include <span>

#include "ane/cli/settings.h"
#include "ane/model/config.h"
#include "ane/model/kernel_options.h"
#include "ane/model/kernel_plan.h"
#include "ane/model/model.h"
#include "ane/train/options.h"

/// Creates the objects that the settings describe.
namespace ane::app {

/// Reads the model's dimensions, and nothing else, from the header of `--model FILE`, if set; a checkpoint directory is
/// replaced by the model file in it. Dimensions that were also given as settings must agree (`seq` may be smaller),
/// else UsageError names both. A resumed run takes them from its newest checkpoint instead and no longer needs the
/// file. Throws FileError for a file that cannot be read, whose metadata contain anything but dimensions in their
/// place, or whose size or tensors do not match its dimensions.
void adopt_model_file(cli::LoadedSettings& loaded);

/// The inverse of model_config(): the texts of the model's settings by name.
[[nodiscard]] cli::FlagValues model_settings(const model::ModelConfig& config);

/// The model that the settings describe. Throws UsageError if heads does not divide dim and head_dim is not given; the
/// other dimensions are not checked.
[[nodiscard]] model::ModelConfig model_config(const cli::Settings& settings);

/// The options of the kernels of the settings' model, with the given weight mode and the adapter, if there is one.
/// `--packing auto` that has not been resolved is along the width.
[[nodiscard]] model::KernelOptions kernel_options(const cli::Settings& settings, model::WeightMode weights);

/// The kernel plan of the settings' model for the given weight mode. Throws UsageError for invalid dimensions.
[[nodiscard]] model::KernelPlan make_plan(const cli::Settings& settings, model::WeightMode weights);

/// Requires `settings.weights` to be resolved. Throws UsageError for invalid dimensions.
[[nodiscard]] std::unique_ptr<model::Model> make_model(const cli::Settings& settings,
                                                       const model::ModelContext& context);

/// Loads the trained parameters from `--model FILE` or, those of an adapter, from its directory; initializes new ones
/// from the seed.
void fill_parameters(const cli::Settings& settings, const model::Model& model, std::span<float> parameters);

[[nodiscard]] train::TrainOptions train_options(const cli::Settings& settings);

}  // namespace ane::app
