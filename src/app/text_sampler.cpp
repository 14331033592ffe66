#include "ane/app/text_sampler.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ane/core/error.h"
#include "ane/model/sampling.h"
#include "ane/text/stream.h"

namespace ane::app {
namespace {

/// Continues the prompt of the settings. The draws are those of `sample` with its default settings, so that a sample
/// shows what that command would print.
class PromptSampler final : public train::TextSampler {
 public:
  PromptSampler(const RunContext& context, Language language)
      : model_(*context.model),
        prompt_(context.settings.sample_prompt),
        most_tokens_(static_cast<std::size_t>(context.settings.sample_tokens)),
        sampling_(model::kDefaultSampling),
        language_(std::move(language)),
        prompt_tokens_(language_.vocabulary.encode(prompt_, text::SpecialTokens::include)),
        logits_(model_.config().vocab) {
    check_prompt(prompt_tokens_, model_.config());
    sampling_.seed = static_cast<std::uint64_t>(context.settings.seed);
  }

  train::TextSample sample(std::span<const float> parameters, const std::atomic<bool>& stop) override {
    train::TextSample sample{.prompt = prompt_, .text = {}};
    const auto decode = [this](std::span<const data::Token> tokens) { return language_.vocabulary.decode(tokens); };
    text::TextStream stream(decode, prompt_tokens_, {});
    model::Sampler sampler(sampling_);
    std::vector<data::Token> tokens = prompt_tokens_;
    while (!stop && sample.tokens < most_tokens_ && tokens.size() <= model_.config().seq_len) {
      sample.overflow = model_.next_logits(tokens, parameters, logits_);
      if (sample.overflow) break;
      const data::Token token = sampler.next(logits_, tokens.size());
      if (std::ranges::count(language_.end_tokens, token) > 0) break;
      sample.text += stream.add(token);
      ++sample.tokens;
      tokens.push_back(token);
    }
    sample.text += stream.finish();
    return sample;
  }

 private:
  model::Model& model_;
  std::string prompt_;
  std::size_t most_tokens_;
  model::SamplingOptions sampling_;
  Language language_;
  std::vector<data::Token> prompt_tokens_;
  std::vector<float> logits_;
};

}  // namespace

std::unique_ptr<train::TextSampler> make_text_sampler(const RunContext& context, Language language) try {
  return std::make_unique<PromptSampler>(context, std::move(language));
} catch (const UsageError& error) {
  throw UsageError(fmt::format("--sample-prompt: {}", error.what()));
}

}  // namespace ane::app
