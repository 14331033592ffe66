#include "checkpoint/state_files.h"

#include <utility>

#include "ane/model/adapter.h"
#include "ane/model/frozen_parameters.h"
#include "ane/model/models.h"
#include "ane/model/weight_files.h"

#include "checkpoint/checkpoint_names.h"

namespace ane::train {

namespace {

bool adds_frozen(const std::string& file, const FineTuning& fine_tuning) {
  return file == kModelFile && fine_tuning.frozen != nullptr && fine_tuning.frozen->can_be_read();
}

/// The layout with PEFT's names.
model::ParameterLayout peft_layout(const model::ParameterLayout& layout) {
  model::ParameterLayout named;
  for (model::Parameter parameter : layout.parameters()) {
    parameter.name = model::peft_name(parameter);
    named.add(std::move(parameter));
  }
  return named;
}

/// Writes a whole model of trained and frozen parameters, in the model's order.
void write_whole_model(TemporaryFile& file, const model::ParameterLayout& trained, std::span<const float> values,
                       const CheckpointIdentity& identity, const model::Metadata& metadata) {
  const model::ParameterLayout all = model::parameter_layout(identity.model);
  const model::ParameterValues source(trained, values, identity.fine_tuning.frozen);
  std::vector<model::TensorEntry> entries;
  for (const model::Parameter& parameter : all.parameters()) entries.push_back({parameter.name, parameter.shape});
  model::SafetensorsWriter writer(file, std::move(entries), metadata);
  std::vector<float> buffer;
  for (const model::Parameter& parameter : all.parameters())
    writer.add(source.read(*source.find(parameter.name), buffer));
}

}  // namespace

std::vector<StateFile> files_of(StateArena& state, const model::ParameterLayout& layout, const FineTuning& fine_tuning,
                                const WholeSlots* whole_slots) {
  std::vector<StateFile> files = {
      {fine_tuning.has_adapter() ? model::kAdapterFile : kModelFile, state.parameters(), layout}};
  for (std::size_t i = 0; i < state.slots().size(); ++i) {
    const std::string name = slot_file(state.slots()[i].name);
    if (whole_slots == nullptr)
      files.push_back({name, state.slot(i), state.slots()[i].layout, i});
    else
      files.push_back({name, whole_slots->values(i), whole_slots->layout(i), i});
  }
  if (state.staleness() == Staleness::one_update) files.push_back({kRunningFile, state.running_parameters(), layout});
  return files;
}

void write_array(TemporaryFile& file, const StateFile& array, const CheckpointIdentity& identity,
                 const model::Metadata& metadata) {
  if (adds_frozen(array.name, identity.fine_tuning)) {
    write_whole_model(file, array.layout, array.values, identity, metadata);
  } else if (array.name == model::kAdapterFile) {
    model::write_safetensors(file, peft_layout(array.layout), array.values, metadata);
  } else {
    model::write_safetensors(file, array.layout, array.values, metadata);
  }
}

void read_array(const std::filesystem::path& path, const StateFile& array, const CheckpointIdentity& identity) {
  const model::ModelTensors tensors(path);
  const bool is_whole = array.name == kModelFile && identity.fine_tuning.frozen != nullptr &&
                        tensors.files().size() > array.layout.parameters().size();
  if (is_whole) {
    model::read_all(*model::open_tensors(tensors, model::parameter_layout(identity.model)), array.layout, array.values);
  } else if (array.name == model::kAdapterFile) {
    model::read_safetensors(path, peft_layout(array.layout), array.values);
  } else {
    model::read_safetensors(path, array.layout, array.values);
  }
}

}  // namespace ane::train
