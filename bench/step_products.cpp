#include "step_products.h"

#include <map>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/model/models.h"

#include "product_log.h"

namespace ane::bench {
namespace {

std::vector<Product> programs_products(Training& training) {
  std::map<std::string, mil::Program> programs;
  for (const model::KernelInfo& kernel : training.model().kernels().infos())
    programs.emplace(kernel.name, kernel.program);
  std::vector<Product> products;
  const auto add = [&](const std::string& part, int run, std::vector<Product> more) {
    for (Product& product : more) {
      product.part = part;
      product.run = run;
      products.push_back(std::move(product));
    }
  };

  std::map<std::string, int> runs;
  static_cast<void>(training.device().take_runs());
  static_cast<void>(training.step());
  for (const Call& call : training.device().take_runs()) {
    const int run = runs[call.kernel]++;
    add(call.kernel, run, products_of(programs.at(call.kernel), fmt::format("{}.{}/", call.kernel, run)));
  }
  CpuProducts cpu = cpu_products(model::parameter_layout(training.model().config()), training.model().parameters(),
                                 static_cast<std::size_t>(training.settings().seq));
  add(kClassifier, 0, std::move(cpu.classifier));
  add(kWeightGradients, 0, std::move(cpu.weight_gradients));
  return products;
}

/// The model counts only attention's backward products; forward and recomputed ones come in addition.
void check_count(const std::vector<Product>& products, double least) {
  double found = 0;
  for (const Product& product : products) found += product.flops();
  if (found < least)
    throw Error(
        fmt::format("the bound has {:.0f} MFLOP, but a step {:.0f}: it lacks products", found * 1e-6, least * 1e-6));
}

}  // namespace

std::vector<Product> step_products(cli::Settings settings) {
  settings.threads = 1;  // so that no product is split into several calls
  settings.parallel_sequences = 1;
  Training training(settings);
  training.compile();
  std::vector<Product> products = programs_products(training);
  if (notes_products() && training.settings().device == cli::DeviceChoice::host)
    products = as_called(std::move(products), products_called_by([&] { static_cast<void>(training.step()); }));
  std::erase_if(products, [](const Product& product) { return product.avoidable; });
  check_count(products, training.model().summary().flops_per_step.total());
  return products;
}

}  // namespace ane::bench
