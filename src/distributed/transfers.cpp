#include "ane/distributed/transfers.h"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <utility>

#include "ane/math/nn.h"

namespace ane::distributed {

namespace {

/// Elements of a slice that are sent at once: bounds the memory for a sum, and MPI counts bytes in an int.
constexpr std::size_t kPiece = std::size_t{1} << 18U;

std::span<std::byte> writable_bytes(std::span<const float> values) {
  return std::as_writable_bytes(std::span(const_cast<float*>(values.data()), values.size()));  // MPI only reads it
}

/// The part of rank's slice that the piece with this number contains; empty after the last one.
std::span<float> piece_of(std::span<float> values, Bounds bounds, std::size_t rank, std::size_t number) {
  const std::size_t begin = std::min(bounds[rank] + number * kPiece, bounds[rank + 1]);
  return values.subspan(begin, std::min(kPiece, bounds[rank + 1] - begin));
}

std::size_t count_pieces(Bounds bounds) {
  std::size_t longest = 0;
  for (std::size_t rank = 0; rank + 1 < bounds.size(); ++rank)
    longest = std::max(longest, bounds[rank + 1] - bounds[rank]);
  return (longest + kPiece - 1) / kPiece;
}

}  // namespace

Transfers::Transfers(Messages& messages, std::function<void(int)> lost, Messages::Meanwhile meanwhile)
    : messages_(messages), lost_(std::move(lost)), meanwhile_(std::move(meanwhile)) {}

void Transfers::transfer() {
  if (const std::optional<int> rank = messages_.transfer(sent_, received_, meanwhile_)) lost_(*rank);
}

std::size_t Transfers::sum(std::span<float> values, Bounds bounds) {
  const auto own = static_cast<std::size_t>(messages_.rank());
  const auto ranks = static_cast<std::size_t>(messages_.size());
  assert(bounds.size() == ranks + 1);
  std::size_t sent_bytes = 0;
  for (std::size_t number = 0; number < count_pieces(bounds); ++number) {
    const std::span<float> mine = piece_of(values, bounds, own, number);
    pieces_.resize(ranks * mine.size());
    sent_.clear();
    received_.clear();
    for (std::size_t peer = 0; peer < ranks; ++peer) {
      if (peer == own) continue;
      const std::span<float> theirs = piece_of(values, bounds, peer, number);
      sent_.push_back({static_cast<int>(peer), writable_bytes(theirs)});
      received_.push_back(
          {static_cast<int>(peer), writable_bytes(std::span(pieces_).subspan(peer * mine.size(), mine.size()))});
      sent_bytes += theirs.size_bytes();
    }
    transfer();
    add_in_order(mine);
  }
  return sent_bytes;
}

/// own = piece of rank 0 + piece of rank 1 + ..., where `own` is the piece of this rank.
void Transfers::add_in_order(std::span<float> own) {
  const auto piece = [&](std::size_t rank) { return std::span(pieces_).subspan(rank * own.size(), own.size()); };
  const auto rank = static_cast<std::size_t>(messages_.rank());
  std::ranges::copy(own, piece(rank).begin());
  std::ranges::copy(piece(0), own.begin());
  for (std::size_t other = 1; other < static_cast<std::size_t>(messages_.size()); ++other)
    math::add(piece(other), own, one_thread_);
}

std::size_t Transfers::gather(std::span<float> values, Bounds bounds) {
  const auto own = static_cast<std::size_t>(messages_.rank());
  const auto ranks = static_cast<std::size_t>(messages_.size());
  assert(bounds.size() == ranks + 1);
  std::size_t sent_bytes = 0;
  for (std::size_t number = 0; number < count_pieces(bounds); ++number) {
    const std::span<float> mine = piece_of(values, bounds, own, number);
    sent_.clear();
    received_.clear();
    for (std::size_t peer = 0; peer < ranks; ++peer) {
      if (peer == own) continue;
      sent_.push_back({static_cast<int>(peer), writable_bytes(mine)});
      received_.push_back({static_cast<int>(peer), writable_bytes(piece_of(values, bounds, peer, number))});
      sent_bytes += mine.size_bytes();
    }
    transfer();
  }
  return sent_bytes;
}

std::vector<std::string> Transfers::exchange(std::string_view message) {
  const auto ranks = static_cast<std::size_t>(messages_.size());
  const auto own = static_cast<std::size_t>(messages_.rank());
  std::vector<std::uint64_t> lengths(ranks, message.size());
  std::uint64_t length = message.size();
  const auto with_all = [&](std::span<std::byte> to_send, const auto& to_receive) {
    sent_.clear();
    received_.clear();
    for (std::size_t peer = 0; peer < ranks; ++peer) {
      if (peer == own) continue;
      sent_.push_back({static_cast<int>(peer), to_send});
      received_.push_back({static_cast<int>(peer), to_receive(peer)});
    }
    transfer();
  };
  with_all(std::as_writable_bytes(std::span(&length, 1)),
           [&](std::size_t peer) { return std::as_writable_bytes(std::span(&lengths[peer], 1)); });
  std::vector<std::string> messages(ranks);
  for (std::size_t peer = 0; peer < ranks; ++peer) messages[peer].resize(lengths[peer]);
  messages[own] = message;
  with_all(std::as_writable_bytes(std::span(messages[own])),
           [&](std::size_t peer) { return std::as_writable_bytes(std::span(messages[peer])); });
  return messages;
}

}  // namespace ane::distributed
