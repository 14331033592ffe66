#include "ane/app/random_weights.h"

#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "ane/cli/text.h"
#include "ane/core/error.h"
#include "ane/core/machine.h"
#include "ane/math/half.h"
#include "ane/math/random.h"
#include "ane/mil/constants.h"
#include "ane/mil/op_view.h"

namespace ane::app {
namespace {

using mil::DType;

template <class T>
void put(std::span<std::byte> data, std::size_t index, T value) {
  std::memcpy(data.data() + index * sizeof value, &value, sizeof value);
}

/// The first dimension is assumed to be outputs, as in the weights of conv and linear.
double deviation_of(const mil::TensorType& type) {
  const std::int64_t outputs = type.is_scalar() ? 1 : type.shape.front();
  const std::int64_t summed = mil::element_count(type.shape) / outputs;
  return 1 / std::sqrt(static_cast<double>(summed));
}

void fill(const mil::TensorType& type, const math::CounterRandom& random, std::span<std::byte> data) {
  const std::size_t width = mil::element_bytes(type.dtype);
  const double deviation = deviation_of(type);
  for (std::size_t i = 0; i < data.size() / width; ++i) {
    const auto normal = [&] { return static_cast<float>(random.normal(i) * deviation); };
    if (type.dtype == DType::fp32) {
      put(data, i, normal());
    } else if (type.dtype == DType::fp16) {
      put(data, i, math::to_half(normal()));
    } else if (width == 1) {
      put(data, i, static_cast<std::uint8_t>(random.below(256, i)));
    } else {  // little-endian: the higher bytes stay 0
      data[i * width] = static_cast<std::byte>(random.below(2, i));
    }
  }
}

/// Sets `set` of the first `elements` bits, evenly distributed.
void fill_mask(std::int64_t set, std::int64_t elements, std::span<std::byte> data) {
  const auto before = [&](std::int64_t i) {
    return static_cast<std::int64_t>(static_cast<double>(i) * static_cast<double>(set) / static_cast<double>(elements));
  };
  for (std::int64_t i = 0; i < elements; ++i) {
    if (before(i + 1) > before(i)) data[static_cast<std::size_t>(i / 8)] |= std::byte{1} << (i % 8);
  }
}

class Maker {
 public:
  Maker(const std::set<std::string>& missing, std::uint64_t seed) : missing_(&missing), seed_(seed) {}

  mil::Blobs run(mil::Program& program) {
    mil::for_each_blob(program, [&](const mil::OpView& op, const mil::Constant& constant, mil::BlobRef& ref,
                                    const std::string& argument) {
      if (missing_->contains(ref.path)) replace(op, argument, constant.type, ref);
    });
    return std::move(blobs_);
  }

 private:
  /// Identifies a tensor: constants that name the same bytes with the same type are identical.
  using Key = std::tuple<std::string, std::uint64_t, DType, mil::Shape>;

  void replace(const mil::OpView& op, const std::string& argument, const mil::TensorType& type, mil::BlobRef& ref) {
    const auto [entry, is_new] = made_.try_emplace(Key{ref.path, ref.offset, type.dtype, type.shape},
                                                   fmt::format("{}.random-{}", ref.path, made_.size()));
    ref = {entry->second, mil::kFirstRecord};
    if (is_new) make(op, argument, type, entry->second);
  }

  void make(const mil::OpView& op, const std::string& argument, const mil::TensorType& type, const std::string& path) {
    const std::uint64_t bytes =
        static_cast<std::uint64_t>(mil::element_count(type.shape)) * mil::element_bytes(type.dtype);
    total_ += bytes;  // less than 2^20 constants of at most 2^43 bytes
    if (memory_ && total_ > memory_->bytes) {
      throw DeviceError(fmt::format("generated weights would take {}, {} for {} alone, but only {} is available: {}",
                                    cli::human_bytes(static_cast<double>(total_)),
                                    cli::human_bytes(static_cast<double>(bytes)), mil::to_string(type),
                                    cli::human_bytes(static_cast<double>(memory_->bytes)), memory_->limit));
    }
    const std::span<std::byte> data = mil::single_blob(type.dtype, bytes, blobs_[path]);
    if (op.kind() == mil::OpKind::constexpr_sparse_to_dense && argument == "mask") {
      fill_mask(mil::element_count(op.type("nonzero_data").shape), mil::element_count(op.result_type().shape), data);
    } else {
      fill(type, math::CounterRandom(seed_, blobs_.size()), data);
    }
  }

  const std::set<std::string>* missing_;
  std::uint64_t seed_;
  mil::Blobs blobs_;
  std::map<Key, std::string> made_;
  std::uint64_t total_ = 0;
  std::optional<AvailableMemory> memory_ = available_memory();
};

}  // namespace

mil::Blobs generate_weights(mil::Program& program, const std::set<std::string>& missing, std::uint64_t seed) {
  return Maker(missing, seed).run(program);
}

}  // namespace ane::app
