#pragma once

#include <memory>
#include <span>
#include <vector>

#include "loaded_model.h"

namespace ane::device::apple {

class AneKernel final : public Kernel {
 public:
  AneKernel(std::shared_ptr<LoadedModel> model, std::vector<Port> inputs, std::vector<Port> outputs);
  ~AneKernel() override;

  [[nodiscard]] std::span<const Port> inputs() const override { return inputs_; }
  [[nodiscard]] std::span<const Port> outputs() const override { return outputs_; }
  void run(std::span<surface::Surface* const> inputs, std::span<surface::Surface* const> outputs) override;

 private:
  /// A request can be used for any number of evaluations of the same surfaces, which it keeps alive.
  struct CachedRequest {
    std::vector<IoSurfaceRef> surfaces;
    IoSurfaceRef resident;  ///< the input with weights; null if there is none
    objc::Owned request;
  };

  /// `resident` as above: layers that share this kernel differ in it, and each has its own requests.
  objc::Id request_for(std::vector<IoSurfaceRef> surfaces, IoSurfaceRef resident);
  void evaluate(objc::Id request) const;

  std::shared_ptr<LoadedModel> model_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
  std::vector<std::size_t> input_order_;
  std::vector<std::size_t> output_order_;
  std::vector<CachedRequest> requests_;  // most recently used last
};

}  // namespace ane::device::apple
