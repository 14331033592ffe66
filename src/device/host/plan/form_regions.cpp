#include "plan/form_regions.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <type_traits>
#include <utility>

#include "ane/core/checked.h"

namespace ane::device::host {
namespace {

/// A slice of an unbatched product packs its whole right operand. With this many rows per slice, the cost is small.
constexpr std::int64_t kRowsWorthPacking = 256;

/// How the slices of several steps access one buffer.
class Footprint {
 public:
  void add(const Touch& touch) {
    std::int64_t first = touch.slot->offset;
    std::int64_t last = first;
    for (std::size_t i = 0; i < touch.shape.size(); ++i) {
      (touch.strides[i] < 0 ? first : last) += (touch.shape[i] - 1) * touch.strides[i];
    }
    const bool is_new = !read_ && !written_;
    low_ = is_new ? first : std::min(low_, first);
    high_ = is_new ? last : std::max(high_, last);
    equal_strides_ = is_new || (equal_strides_ && stride_ == touch.slot->slice_stride);
    stride_ = touch.slot->slice_stride;
    (touch.writes ? written_ : read_) = true;
  }

  [[nodiscard]] bool passes_data() const noexcept { return read_ && written_; }
  [[nodiscard]] bool one_piece_a_slice() const noexcept { return equal_strides_ && high_ - low_ < stride_; }
  [[nodiscard]] std::int64_t begin() const noexcept { return low_; }
  [[nodiscard]] std::int64_t size() const noexcept { return high_ - low_ + 1; }

 private:
  std::int64_t low_ = 0;  ///< range of elements that the first slice accesses, inclusive
  std::int64_t high_ = 0;
  std::int64_t stride_ = 0;
  bool equal_strides_ = true;
  bool read_ = false;
  bool written_ = false;
};

/// Slices of the steps in [begin, end).
struct Slices {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::int64_t count = 1;
  std::deque<Region::Part> parts;
  std::map<BufferId, Footprint> footprints;
};

std::vector<Touch> touches(Region::Part& part) {
  return std::visit([](auto& work) { return work.touches(); }, part);
}

class RegionFinder {
 public:
  RegionFinder(std::vector<Step> steps, std::vector<Buffer>& buffers, Lifetimes& lifetimes, int threads)
      : steps_(std::move(steps)), buffers_(buffers), lifetimes_(lifetimes), threads_(threads) {}

  std::vector<Step> run() {
    find_batches();
    if (threads_ > 1) find_rows();
    std::vector<Step> result;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const auto region = regions_.find(i);
      if (region == regions_.end()) {
        result.push_back(std::move(steps_[i]));
      } else {
        i = region->second.end - 1;
        result.emplace_back(finish(std::move(region->second)));
      }
    }
    return result;
  }

 private:
  void find_batches();
  void find_rows();
  void grow(std::size_t seed, std::int64_t slices);
  bool add(Slices& slices, std::size_t step, std::size_t place) const;
  [[nodiscard]] std::optional<Region::Part> slice_of(const Step& step, std::int64_t slices) const;
  [[nodiscard]] bool is_taken(std::size_t step) const;
  Region finish(Slices slices);

  std::vector<Step> steps_;
  std::vector<Buffer>& buffers_;
  Lifetimes& lifetimes_;
  int threads_;
  std::map<std::size_t, Slices> regions_;  ///< by their first step
};

/// Regions around batched products, if the batch divides about evenly among the threads.
void RegionFinder::find_batches() {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const auto* const product = std::get_if<Product>(&steps_[i]);
    if (product == nullptr || is_taken(i)) continue;
    const std::int64_t slices = product->outermost_batch();
    constexpr std::int64_t kManyEach = 4;
    if (slices > 1 && (slices % threads_ == 0 || slices >= kManyEach * threads_)) grow(i, slices);
  }
}

/// Regions of other products and the steps that follow them, one slice per thread.
void RegionFinder::find_rows() {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const auto* const product = std::get_if<Product>(&steps_[i]);
    if (product != nullptr && product->splits_rows(threads_) && !is_taken(i)) grow(i, threads_);
  }
}

bool RegionFinder::is_taken(std::size_t step) const {
  const auto next = regions_.upper_bound(step);
  return next != regions_.begin() && step < std::prev(next)->second.end;
}

void RegionFinder::grow(std::size_t seed, std::int64_t slices) {
  Slices found{.begin = seed, .end = seed, .count = slices, .parts = {}, .footprints = {}};
  while (found.end < steps_.size() && !is_taken(found.end) && add(found, found.end, found.parts.size())) ++found.end;
  if (found.parts.empty()) return;
  while (found.begin > 0 && !is_taken(found.begin - 1) && add(found, found.begin - 1, 0)) --found.begin;
  if (found.parts.size() > 1) regions_.emplace(found.begin, std::move(found));
}

/// Adds a step at position `place` of the parts, if the slices stay independent.
bool RegionFinder::add(Slices& slices, std::size_t step, std::size_t place) const {
  std::optional<Region::Part> part = slice_of(steps_[step], slices.count);
  if (!part) return false;
  std::map<BufferId, Footprint> changed;
  for (const Touch& touch : touches(*part)) {
    const auto known = slices.footprints.find(touch.slot->buffer);
    const Footprint before = known == slices.footprints.end() ? Footprint() : known->second;
    changed.try_emplace(touch.slot->buffer, before).first->second.add(touch);
  }
  const bool independent = std::all_of(changed.begin(), changed.end(), [](const auto& entry) {
    return !entry.second.passes_data() || entry.second.one_piece_a_slice();
  });
  if (!independent) return false;
  for (const auto& [buffer, footprint] : changed) slices.footprints.insert_or_assign(buffer, footprint);
  slices.parts.insert(slices.parts.begin() + static_cast<std::ptrdiff_t>(place), std::move(*part));
  return true;
}

std::optional<Region::Part> RegionFinder::slice_of(const Step& step, std::int64_t slices) const {
  if (const auto* const product = std::get_if<Product>(&step); product != nullptr && product->outermost_batch() == 1) {
    const bool as_without_region = slices == threads_ && product->splits_rows(threads_);
    if (!as_without_region && product->rows() < slices * kRowsWorthPacking) return std::nullopt;
  }
  return std::visit(
      [&](auto work) -> std::optional<Region::Part> {
        if constexpr (std::is_constructible_v<Region::Part, decltype(work)>) {
          if (work.slice(slices)) return work;
        }
        return std::nullopt;
      },
      step);
}

Region RegionFinder::finish(Slices slices) {
  const std::int64_t workers = std::min<std::int64_t>(threads_, slices.count);
  std::vector<BufferId> own;
  std::vector<Lifetime> own_lifetimes;
  for (const auto& [id, footprint] : slices.footprints) {
    std::optional<Lifetime>& life = lifetimes_[id];
    if (!life) continue;
    const bool inside = buffers_[id].space == Space::arena && life->first >= slices.begin && life->last < slices.end;
    if (inside && footprint.passes_data()) {
      own.push_back(id);
      own_lifetimes.push_back(*life);
      own_lifetimes.back().bytes = static_cast<std::size_t>(footprint.size()) * sizeof(float);
      life.reset();
    } else {  // while one worker is at the first step, another may be at the last
      life->first = std::min(life->first, slices.begin);
      life->last = std::max(life->last, slices.end - 1);
    }
  }
  const ArenaPlan plan = plan_arena(own_lifetimes);
  const auto worker_elements = static_cast<std::int64_t>(plan.bytes / sizeof(float));
  const auto shared = static_cast<BufferId>(buffers_.size());
  if (worker_elements > 0) {
    buffers_.push_back({.space = Space::arena, .elements = workers * worker_elements});
    lifetimes_.push_back(Lifetime{.bytes = 0, .first = slices.begin, .last = slices.end - 1});
  }
  for (Region::Part& part : slices.parts) {
    for (const Touch& touch : touches(part)) {
      const auto found = std::lower_bound(own.begin(), own.end(), touch.slot->buffer);
      if (found == own.end() || *found != touch.slot->buffer) continue;
      const auto place =
          static_cast<std::int64_t>(plan.offsets[static_cast<std::size_t>(found - own.begin())] / sizeof(float));
      touch.slot->offset += place - slices.footprints.at(*found).begin();
      touch.slot->slice_stride = 0;
      touch.slot->worker_stride = worker_elements;
      touch.slot->buffer = shared;
    }
  }
  return {{std::make_move_iterator(slices.parts.begin()), std::make_move_iterator(slices.parts.end())},
          slices.count,
          workers};
}

}  // namespace

std::vector<Step> form_regions(std::vector<Step> steps, std::vector<Buffer>& buffers, Lifetimes& lifetimes,
                               int threads) {
  return RegionFinder(std::move(steps), buffers, lifetimes, threads).run();
}

}  // namespace ane::device::host
