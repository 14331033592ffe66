#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fixture.h"
#include "frameworks.h"
#include "model_directory.h"

namespace ane::device::apple {

/// Sends messages to the stand-in without the bridge.
class Direct {
  using Id = objc::Id;

 public:
  Direct() : standin(fresh_standin()), frameworks(standard_libraries()), pool_(frameworks.runtime) {}

  ~Direct() {
    standin.reset();
    standin.clear_cache();
  }
  Direct(const Direct&) = delete;
  Direct& operator=(const Direct&) = delete;

  [[nodiscard]] Id weights(const mil::Blobs& blobs) const {
    std::vector<std::pair<Id, Id>> entries;
    for (const auto& [key, bytes] : blobs) {
      const std::array<std::pair<Id, Id>, 1> entry{{{foundation.string("data"), foundation.data(bytes)}}};
      entries.emplace_back(foundation.string(key), foundation.dictionary(entry));
    }
    return foundation.dictionary(entries);
  }
  [[nodiscard]] Id model(const Sample& sample) const {
    const Id text = foundation.data(std::as_bytes(std::span(sample.text)));
    return engine.make_model(engine.model_type,
                             engine.make_descriptor(engine.descriptor_type, text, weights(sample.weights), nullptr));
  }
  [[nodiscard]] std::string identifier(Id model) const { return foundation.text(engine.identifier(model)).value(); }
  [[nodiscard]] std::unique_ptr<ModelDirectory> directory(Id model, const Sample& sample) const {
    return std::make_unique<ModelDirectory>(standin.temporary_directory() + identifier(model), sample.text,
                                            sample.weights);
  }
  [[nodiscard]] Id loaded(const Sample& sample) {
    const Id made = model(sample);
    directories.push_back(directory(made, sample));
    REQUIRE(compile(made).empty());
    REQUIRE(load(made).empty());
    return made;
  }

  /// Empty on success, else the NSError's text.
  std::string compile(Id model) const { return answer(engine.compile, model, none()); }
  std::string load(Id model) const { return answer(engine.load, model, none()); }
  std::string evaluate(Id model, Id request) const { return answer(engine.evaluate, model, none(), request); }
  std::string unload(Id model) const { return answer(engine.unload, model); }

  /// Of exactly the requested size; the bridge's own surfaces have at least 49,152 bytes.
  [[nodiscard]] IoSurfaceRef raw_surface(std::uint64_t bytes) const {
    const IoSurfaceFunctions& io = frameworks.io_surface;
    const Id size = foundation.number(bytes);
    const Id one = foundation.number(1);
    const std::array<std::pair<Id, Id>, 6> properties{{{io.width, size},
                                                       {io.height, one},
                                                       {io.bytes_per_element, one},
                                                       {io.bytes_per_row, size},
                                                       {io.size_bytes, size},
                                                       {io.pixel_format, foundation.number(0)}}};
    return io.create(foundation.dictionary(properties));
  }
  [[nodiscard]] Id request(const std::vector<IoSurfaceRef>& in, const std::vector<IoSurfaceRef>& out) const {
    const auto [inputs, input_indices] = wrap(in);
    const auto [outputs, output_indices] = wrap(out);
    return engine.make_request(engine.request_type, inputs, input_indices, outputs, output_indices, nullptr, nullptr,
                               foundation.number(0));
  }
  void release(const std::vector<IoSurfaceRef>& surfaces) const {
    for (IoSurfaceRef each : surfaces) frameworks.io_surface.release(each);
  }

  fakes::Control& standin;
  Frameworks frameworks;
  const Foundation& foundation = frameworks.foundation;
  const EngineMessages& engine = frameworks.engine;
  std::vector<std::unique_ptr<ModelDirectory>> directories;

 private:
  [[nodiscard]] Id none() const { return foundation.dictionary({}); }
  [[nodiscard]] std::pair<Id, Id> wrap(const std::vector<IoSurfaceRef>& surfaces) const {
    std::vector<Id> objects;
    std::vector<Id> indices;
    for (IoSurfaceRef each : surfaces) {
      indices.push_back(foundation.number(objects.size()));
      objects.push_back(engine.wrap_surface(engine.surface_type, each));
    }
    return {foundation.array(objects), foundation.array(indices)};
  }
  template <class Message, class... Arguments>
  std::string answer(const Message& message, Id model, Arguments... arguments) const {
    Id error = nullptr;
    const bool done = message(model, 21U, arguments..., &error) != 0;
    return done ? "" : foundation.describe(error);
  }

  objc::AutoreleasePool pool_;
};

}  // namespace ane::device::apple
