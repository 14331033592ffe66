#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "ane/data/sources.h"
#include "ane/math/gemm.h"

#include "streams.h"

namespace ane::data {

namespace {

constexpr std::size_t kHeldOutSamples = 16;

class TeacherSource final : public Source {
 public:
  TeacherSource(std::size_t dim, std::size_t hidden, std::size_t seq_len, std::uint64_t seed)
      : dim_(dim), hidden_(hidden), seq_len_(seq_len), seed_(seed), in_(hidden * dim), out_(dim * hidden) {
    assert(dim > 0 && hidden > 0 && seq_len > 0);
    // Preserves variance: 1/fan-in into the hidden layer, twice that out of it because ReLU halves it.
    fill_normal(random_stream(seed, Stream::teacher_in), std::sqrt(1.0 / static_cast<double>(dim)), in_);
    fill_normal(random_stream(seed, Stream::teacher_out), std::sqrt(2.0 / static_cast<double>(hidden)), out_);
  }

  std::string description() const override {
    return fmt::format(
        "synthetic: regression on a fixed random network, {} -> {} relu -> {}, loss floor 0; {} samples held out", dim_,
        hidden_, dim_, kHeldOutSamples);
  }
  std::string identity() const override {
    return fmt::format("teacher dim={} hidden={} seq={} seed={}", dim_, hidden_, seq_len_, seed_);
  }
  void training_sample(std::uint64_t step, Sample& sample) const override {
    draw(Stream::teacher_training, step, sample);
  }
  std::size_t validation_count() const override { return kHeldOutSamples; }
  void validation_sample(std::size_t index, Sample& sample) const override {
    if (index >= validation_count()) return Source::validation_sample(index, sample);
    draw(Stream::teacher_held_out, index, sample);
  }
  std::optional<double> loss_floor() const override { return 0.0; }

 private:
  /// y = out * relu(in * x), all channel-first.
  void draw(Stream stream, std::uint64_t number, Sample& sample) const {
    const math::CounterRandom random = random_stream(seed_, stream);
    sample.x.resize(dim_ * seq_len_);
    for (std::size_t i = 0; i < sample.x.size(); ++i)
      sample.x[i] = static_cast<float>(random.normal(number * sample.x.size() + i));

    std::vector<float> hidden(hidden_ * seq_len_);
    math::gemm_serial(hidden_, seq_len_, dim_, 1, {in_.data(), dim_}, {sample.x.data(), seq_len_}, 0, hidden.data(),
                      seq_len_);
    std::transform(hidden.begin(), hidden.end(), hidden.begin(), [](float h) { return std::max(h, 0.0F); });
    sample.y.resize(dim_ * seq_len_);
    math::gemm_serial(dim_, seq_len_, hidden_, 1, {out_.data(), hidden_}, {hidden.data(), seq_len_}, 0, sample.y.data(),
                      seq_len_);
  }

  std::size_t dim_;
  std::size_t hidden_;
  std::size_t seq_len_;
  std::uint64_t seed_;
  std::vector<float> in_;   ///< [hidden, dim]
  std::vector<float> out_;  ///< [dim, hidden]
};

}  // namespace

std::unique_ptr<Source> make_teacher_source(std::size_t dim, std::size_t hidden, std::size_t seq_len,
                                            std::uint64_t seed) {
  return std::make_unique<TeacherSource>(dim, hidden, seq_len, seed);
}

}  // namespace ane::data
