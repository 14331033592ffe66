#include "ane/train/ranks.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <optional>
#include <vector>

#include "ane/data/sources.h"
#include "ane/device/host/host_device.h"
#include "ane/model/models.h"
#include "ane/train/checkpoint.h"

#include "harness.h"
#include "runs.h"
#include "support/catch.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"
#include "support/thread_ranks.h"

using namespace ane;
using namespace ane::train;

namespace {

namespace fs = std::filesystem;

model::ModelConfig small_config() {
  return {.family = model::Family::llama,
          .dim = 16,
          .hidden = 24,
          .layers = 3,
          .heads = 2,
          .kv_heads = 1,
          .head_dim = 8,
          .vocab = 40,
          .seq_len = 16};
}

TrainOptions rank_options() {
  TrainOptions options;
  options.steps = 40;       // eight updates
  options.accum_steps = 5;  // not a multiple of any number of ranks
  options.optimizer.lr = 1e-3;
  options.validate_every = 4;
  options.loss_scale = {.dynamic = false, .initial = 1};
  return options;
}

/// The run of one rank, or of a single process.
struct RankRun {
  explicit RankRun(distributed::Communicator* communicator, const TrainOptions& options = rank_options(),
                   int max_compiles = kPlenty, mil::DType precision = mil::DType::fp32)
      : source(data::make_markov_source({.seq_len = config.seq_len, .vocab_size = config.vocab, .seed = 3})),
        run(
            [this, precision](surface::SurfacePool& surfaces) {
              return model::make_model(config, precision, {.device = device, .surfaces = surfaces, .threads = threads});
            },
            *source, options, max_compiles, communicator) {}

  model::ModelConfig config = small_config();
  std::unique_ptr<data::Source> source;
  math::ThreadPool threads{1};
  device::host::HostDevice device{threads};
  Run run;
};

/// What a run ended with.
struct Result {
  std::vector<float> parameters;
  std::vector<double> losses;
  std::vector<double> validations;
  std::vector<std::vector<RankTimes>> times;  ///< of each update
  std::size_t slot_size = 0;
  int processes = 0;
};

Result result_of(const RankRun& made) {
  Result result{.parameters = made.run.parameters(),
                .losses = {},
                .validations = {},
                .times = {},
                .slot_size = made.run.state->slots()[0].layout.parameter_count(),
                .processes = made.run.processes};
  for (const UpdateEvent& update : made.run.recorder.updates) {
    result.losses.push_back(update.mean_loss);
    result.times.push_back(update.ranks);
  }
  for (const ValidationEvent& event : made.run.recorder.validations) result.validations.push_back(event.loss);
  return result;
}

/// The results of all ranks. `max_compiles(rank)` may cut the runs differently.
template <class MaxCompiles>
std::vector<Result> results_of(int size, const TrainOptions& options, const MaxCompiles& max_compiles,
                               mil::DType precision = mil::DType::fp32) {
  std::vector<Result> results(static_cast<std::size_t>(size));
  test::on_ranks(size, [&](test::ThreadCommunicator& communicator) {
    RankRun made(&communicator, options, max_compiles(communicator.rank()), precision);
    if (made.run.run() != Outcome::finished) throw std::runtime_error("a rank has not finished");
    results[static_cast<std::size_t>(communicator.rank())] = result_of(made);
  });
  return results;
}

int plenty(int /*rank*/) { return kPlenty; }

double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0;
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
    sum += double{b[i]} * double{b[i]};
  }
  return std::sqrt(difference / sum);
}

}  // namespace

TEST_CASE("any number of ranks computes what a single process computes", "[train][host]") {
  const mil::DType precision = GENERATE(mil::DType::fp32, mil::DType::fp16);
  const double tolerance = precision == mil::DType::fp32 ? 1e-5 : 1e-4;
  TrainOptions options = rank_options();
  options.steps = kSanitized ? 50 : 200;  // 10 or 40 updates
  if (precision == mil::DType::fp16) options.loss_scale = {.dynamic = true, .initial = 1024};
  RankRun alone(nullptr, options, kPlenty, precision);
  REQUIRE(alone.run.run() == Outcome::finished);
  const Result single = result_of(alone);
  for (int size = 1; size <= 4; ++size) {
    CAPTURE(size);
    const std::vector<Result> results = results_of(size, options, plenty, precision);
    std::size_t slots = 0;
    for (const Result& result : results) {
      CHECK(same_bits(result.parameters, results.front().parameters));
      CHECK(result.losses == results.front().losses);
      CHECK(result.validations == results.front().validations);
      slots += result.slot_size;
      const double share = static_cast<double>(single.slot_size) / size;
      CHECK(std::abs(static_cast<double>(result.slot_size) - share) < 0.1 * share);  // slices have whole cache lines
    }
    CHECK(slots == single.slot_size);
    // Only the order of the sums differs.
    CHECK(relative_difference(results.front().parameters, single.parameters) < tolerance);
    REQUIRE(results.front().losses.size() == single.losses.size());
    for (std::size_t i = 0; i < single.losses.size(); ++i)
      CHECK(std::abs(results.front().losses[i] - single.losses[i]) < tolerance * single.losses[i]);
    REQUIRE(results.front().validations.size() == single.validations.size());
    CHECK(std::abs(results.front().validations.back() - single.validations.back()) <
          tolerance * single.validations.back());
  }
}

TEST_CASE("each update has the times and the bytes of all ranks", "[train][host]") {
  TrainOptions options = rank_options();
  options.accum_steps = 4;  // ranks 0 and 1 have one sequence, rank 2 has two
  const std::vector<Result> results = results_of(3, options, plenty);
  RankRun alone(nullptr);
  CHECK(result_of(alone).times.empty());
  const std::size_t elements = results.front().parameters.size();
  for (const Result& result : results) {
    REQUIRE(result.times.size() == 10);
    for (std::size_t update = 0; update < result.times.size(); ++update) {
      const std::vector<RankTimes>& times = result.times[update];
      REQUIRE(times.size() == 3);
      std::int64_t sent = 0;
      Duration least_waiting = Duration::max();
      for (std::size_t rank = 0; rank < times.size(); ++rank) {
        CHECK(times[rank].compute > Duration());
        CHECK(times[rank].waiting >= Duration());
        CHECK(times[rank].exchange >= Duration());
        CHECK(times[rank].waiting == results.front().times[update][rank].waiting);  // all know the same
        least_waiting = std::min(least_waiting, times[rank].waiting);
        sent += times[rank].sent_bytes;
      }
      CHECK(least_waiting == Duration());
      CHECK(static_cast<double>(sent) == 3 * distributed::bytes_per_update(elements, 3));
    }
  }
}

TEST_CASE("ranks do not divide the matrices that Muon orthogonalizes", "[train][host]") {
  TrainOptions options = rank_options();
  options.optimizer.kind = OptimizerKind::muon;
  options.optimizer.momentum = 0.95;
  options.steps = 20;
  RankRun alone(nullptr, options);
  REQUIRE(alone.run.run() == Outcome::finished);
  const std::vector<Result> results = results_of(3, options, plenty);
  CHECK(same_bits(results[1].parameters, results[0].parameters));
  CHECK(relative_difference(results[0].parameters, alone.run.parameters()) < 1e-5);
}

TEST_CASE("restarts of any rank leave the bits as they are", "[train][host]") {
  const std::vector<Result> whole = results_of(3, rank_options(), plenty);
  constexpr int kRoundOfRanks = 21;  // kernels of three layers
  const std::vector<Result> cut = results_of(3, rank_options(), [](int rank) {
    return rank == 1 ? kRoundOfRanks : rank == 2 ? 3 * kRoundOfRanks : kPlenty;
  });
  CHECK(cut[0].processes == 1);
  CHECK(cut[1].processes > cut[2].processes);
  CHECK(cut[2].processes > 1);
  CHECK(same_bits(cut[0].parameters, whole[0].parameters));
  CHECK(cut[0].losses == whole[0].losses);
}

TEST_CASE("a checkpoint of several ranks is one of a single process, and continues on any number", "[train][host]") {
  const TemporaryDirectory directory;
  const auto options_until = [&](std::int64_t steps, const char* name) {
    TrainOptions options = rank_options();
    options.optimizer.schedule = ScheduleKind::constant;
    options.steps = steps;
    options.checkpoint_dir = directory.path() / name;
    fs::create_directories(*options.checkpoint_dir);
    return options;
  };
  const std::vector<Result> whole = results_of(3, options_until(40, "whole"), plenty);
  static_cast<void>(results_of(3, options_until(20, "first"), plenty));
  for (const int size : {1, 2, 3}) {
    CAPTURE(size);
    std::vector<Result> results(static_cast<std::size_t>(size));
    fs::copy(directory.path() / "first", directory.path() / std::to_string(size), fs::copy_options::recursive);
    const TrainOptions options = options_until(40, std::to_string(size).c_str());
    test::on_ranks(size, [&](test::ThreadCommunicator& communicator) {
      RankRun made(&communicator, options);
      const std::unique_ptr<Ranks> ranks = made.run.make_ranks();
      if (communicator.is_first()) {
        const auto whole_slots = ranks->whole_slots();
        static_cast<void>(
            load_newest_checkpoint(*options.checkpoint_dir, model::parameter_layout(made.config), *made.run.state,
                                   {.model = made.config, .data = made.source->identity()}, whole_slots.get()));
        if (whole_slots) whole_slots->spread_parameters();
      } else {
        ranks->serve_checkpoint();
      }
      if (made.run.run() != Outcome::finished) throw std::runtime_error("a rank has not finished");
      results[static_cast<std::size_t>(communicator.rank())] = result_of(made);
    });
    for (const Result& result : results) {
      if (size == 3) CHECK(same_bits(result.parameters, whole.front().parameters));
      CHECK(relative_difference(result.parameters, whole.front().parameters) < 1e-5);
    }
  }
}

TEST_CASE("a signal to one rank stops all of them after the same update, with a checkpoint", "[train][host]") {
  const TemporaryDirectory directory;
  TrainOptions options = rank_options();
  options.checkpoint_dir = directory.path();
  std::mutex mutex;
  std::vector<std::int64_t> steps;
  test::on_ranks(3, [&](test::ThreadCommunicator& communicator) {
    RankRun made(&communicator, options);
    made.run.stop = communicator.rank() == 2;
    const Outcome outcome = made.run.run();
    const std::scoped_lock lock(mutex);
    CHECK(outcome == Outcome::interrupted);
    steps.push_back(made.run.progress().step);
  });
  CHECK(steps == std::vector<std::int64_t>(3, options.accum_steps));
  CHECK(checkpoints_in(directory.path()).size() == 1);
}

TEST_CASE("a model reports the gradients of each layer before the backward pass has ended", "[train][host]") {
  class Layers : public model::GradientListener {
   public:
    explicit Layers(std::span<const float> gradients, const model::ParameterLayout& layout)
        : gradients_(gradients), layout_(layout) {}
    void on_layer_gradients(std::size_t layer) override {
      order.push_back(layer);
      at_report.push_back(gradient_of(layer));
    }
    [[nodiscard]] std::vector<float> gradient_of(std::size_t layer) const {
      const auto values =
          slice(gradients_, *layout_.find("model.layers." + std::to_string(layer) + ".self_attn.q_proj.weight"));
      return {values.begin(), values.end()};
    }
    std::vector<std::size_t> order;
    std::vector<std::vector<float>> at_report;

   private:
    std::span<const float> gradients_;
    const model::ParameterLayout& layout_;
  };
  RankRun made(nullptr);
  surface::HeapAllocator allocator;
  surface::SurfacePool surfaces(allocator);
  const auto model = model::make_model(made.config, mil::DType::fp32, {made.device, surfaces, made.threads});
  std::vector<float> parameters(model->parameters().size());
  std::vector<float> gradients(parameters.size());
  model->initialize(parameters, 1);
  model->kernels().compile(model::PassMode::training, parameters);
  data::Sample sample;
  made.source->training_sample(0, sample);
  Layers layers(gradients, model->parameters());
  model->set_gradient_listener(&layers);
  std::vector<model::StepResult> results(1);
  model::StepTimes times;
  model->step({&sample, 1}, parameters, 1, gradients, results, times);
  CHECK(layers.order == std::vector<std::size_t>{2, 1, 0});
  for (std::size_t i = 0; i < layers.order.size(); ++i)
    CHECK(same_bits(layers.at_report[i], layers.gradient_of(layers.order[i])));
  CHECK(std::ranges::any_of(layers.at_report.front(), [](float value) { return value != 0; }));
}
