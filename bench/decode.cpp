/// Continuing a text: a token with the cache of keys and values against reading the weights, and the prompt of a whole
/// window against its matrix products alone.
///
///   bench_decode [--reps N] [ane-train's settings: --config stories110m --threads 2 ...]
///
/// The host device has weights in fp32, and a token needs each of them once: 4 bytes per weight, the classifier's
/// included, are the bound of a token.
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/app/compose.h"
#include "ane/math/half.h"
#include "ane/model/decoder.h"
#include "ane/model/parameter_reader.h"

#include "bench.h"
#include "floor.h"
#include "memory.h"
#include "products.h"
#include "table.h"

namespace ane::bench {
namespace {

/// Reads an array with all threads.
class ReadBound {
 public:
  ReadBound(std::size_t count, math::ThreadPool& threads) : values_(count), threads_(&threads) {}
  void run() {
    constexpr std::size_t kGrain = 1 << 16;
    threads_->parallel_for(values_.size(), kGrain, [this](math::Range range) {
      static_cast<void>(math::max_magnitude(std::span<const float>(values_.all()).subspan(range.begin, range.size())));
    });
  }

 private:
  Floats values_;
  math::ThreadPool* threads_;
};

/// The products of a prompt of a whole window; only one position is classified.
std::vector<Product> prompt_products(const model::Model& model) {
  std::vector<Product> products;
  for (const model::KernelInfo& kernel : model.kernels().infos()) {
    if (!kernel.forward) continue;
    for (std::size_t layer = 0; layer < model.config().layers; ++layer)
      for (Product& product : products_of(kernel.program, fmt::format("{}.", layer)))
        if (!product.avoidable) products.push_back(std::move(product));
  }
  products.push_back(
      {.name = "classifier", .m = model.config().vocab, .n = 1, .k = model.config().dim, .a_memory = "classifier"});
  return products;
}

std::size_t weights_of_token(const model::Model& model) {
  std::size_t weights = model.config().vocab * model.config().dim;
  for (const model::KernelInfo& kernel : model.kernels().infos())
    if (kernel.forward) weights += static_cast<std::size_t>(kernel.copies) * kernel.weight_bytes / sizeof(math::Half);
  return weights;
}

int run(Arguments arguments) {
  const std::int64_t reps = arguments.take_number("--reps", 0);
  cli::Settings settings = arguments.settings();
  settings.weights = cli::WeightsChoice::baked;
  settings.parallel_sequences = 1;
  const app::RunContext context = app::make_run_context(settings);
  const model::Model& model = *context.model;
  std::vector<float> parameters(model.parameters().size());
  model.initialize(parameters, 1);
  const auto reader = model::open_array(parameters, model.parameters());
  const model::KernelOptions options{settings.precision, model::WeightMode::baked, settings.plan, settings.rope};
  const model::ModelContext resources{
      .device = *context.device, .surfaces = *context.surfaces, .threads = *context.threads};
  model::Decoder decoder(model.config(), options, resources, *reader);
  model::Decoder prompt_decoder(model.config(), options, resources, *reader);
  const std::vector<data::Token> prompt(model.config().seq_len, 1);
  const std::vector<data::Token> half(model.config().seq_len / 2 + 1, 1);

  ReadBound read_bound(weights_of_token(model), *context.threads);
  GemmFloor floor(prompt_products(model), *context.threads);
  Samples times;
  Samples bounds;
  prompt_decoder.prepare_restart();
  for (Repetitions repetitions(reps); repetitions.again();) {
    times.add("prompt", time_of([&] { static_cast<void>(prompt_decoder.restart(prompt)); }));
    bounds.add("prompt", time_of([&] { static_cast<void>(floor.run()); }));
  }
  decoder.restart(half);
  decoder.prepare_append();
  for (Repetitions repetitions(reps); repetitions.again();) {
    if (decoder.position() == decoder.window()) {
      decoder.restart(half);
      decoder.prepare_append();
    }
    times.add("token", time_of([&] { static_cast<void>(decoder.append(1)); }));
    bounds.add("token", time_of([&] { read_bound.run(); }));
  }

  fmt::print("\n{}: {}\n{}\n\n", settings.config.empty() ? "default" : settings.config,
             model::dashboard_line(model.config()), context.device->description());
  print_head("text", "ms", "bound", "tokens/s");
  const auto print = [&](const std::string& name, const std::string& text, std::size_t tokens) {
    const double ms = times.milliseconds(name);
    print_row(text, ms, bounds.milliseconds(name), fmt::format("{:.0f}", 1e3 * static_cast<double>(tokens) / ms));
  };
  print("prompt", fmt::format("prompt of {} tokens", prompt.size()), prompt.size());
  print("token", "one more token", 1);
  return 0;
}

}  // namespace
}  // namespace ane::bench

int main(int argc, char** argv) { return ane::bench::run_main(argc, argv, ane::bench::run); }
