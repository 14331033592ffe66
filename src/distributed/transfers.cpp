#include "ane/distributed/transfers.h"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <utility>

#include "ane/math/nn.h"

namespace ane::distributed {

namespace {

constexpr std::size_t kPiece = Transfers::kPieceBytes / sizeof(float);

/// The part of a rank's slice that is transferred in the piece of this number; empty after the last one.
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

/// Sends sent(peer) to each other rank, and receives received(peer) from it. Returns the number of bytes sent.
template <class Sent, class Received>
std::size_t Transfers::with_peers(const Sent& sent, const Received& received) {
  sent_.clear();
  received_.clear();
  std::size_t bytes = 0;
  for (std::size_t peer = 0; peer < ranks(); ++peer) {
    if (peer == own()) continue;
    sent_.push_back({static_cast<int>(peer), sent(peer)});
    received_.push_back({static_cast<int>(peer), received(peer)});
    bytes += sent_.back().bytes.size();
  }
  if (const std::optional<int> rank = messages_.transfer(sent_, received_, meanwhile_)) lost_(*rank);
  return bytes;
}

std::size_t Transfers::sum(std::span<float> values, Bounds bounds) {
  assert(bounds.size() == ranks() + 1);
  std::size_t bytes = 0;
  for (std::size_t number = 0; number < count_pieces(bounds); ++number) {
    const std::span<float> mine = piece_of(values, bounds, own(), number);
    pieces_.resize(ranks() * mine.size());
    bytes +=
        with_peers([&](std::size_t peer) { return std::as_writable_bytes(piece_of(values, bounds, peer, number)); },
                   [&](std::size_t peer) {
                     return std::as_writable_bytes(std::span(pieces_).subspan(peer * mine.size(), mine.size()));
                   });
    add_in_order(mine);
  }
  return bytes;
}

/// mine = piece of rank 0 + piece of rank 1 + ..., where `mine` is the piece of this rank.
void Transfers::add_in_order(std::span<float> mine) {
  const auto piece = [&](std::size_t rank) { return std::span(pieces_).subspan(rank * mine.size(), mine.size()); };
  std::ranges::copy(mine, piece(own()).begin());
  std::ranges::copy(piece(0), mine.begin());
  for (std::size_t rank = 1; rank < ranks(); ++rank) math::add(piece(rank), mine, one_thread_);
}

std::size_t Transfers::gather(std::span<float> values, Bounds bounds) {
  assert(bounds.size() == ranks() + 1);
  std::size_t bytes = 0;
  for (std::size_t number = 0; number < count_pieces(bounds); ++number) {
    const auto piece = [&](std::size_t rank) { return std::as_writable_bytes(piece_of(values, bounds, rank, number)); };
    bytes += with_peers([&](std::size_t /*peer*/) { return piece(own()); }, piece);
  }
  return bytes;
}

std::vector<std::string> Transfers::exchange(std::string_view message) {
  std::vector<std::uint64_t> lengths(ranks(), message.size());
  with_peers([&](std::size_t /*peer*/) { return std::as_writable_bytes(std::span(&lengths[own()], 1)); },
             [&](std::size_t peer) { return std::as_writable_bytes(std::span(&lengths[peer], 1)); });
  std::vector<std::string> messages(ranks());
  for (std::size_t rank = 0; rank < ranks(); ++rank) messages[rank].resize(lengths[rank]);
  messages[own()] = message;
  with_peers([&](std::size_t /*peer*/) { return std::as_writable_bytes(std::span(messages[own()])); },
             [&](std::size_t peer) { return std::as_writable_bytes(std::span(messages[peer])); });
  return messages;
}

}  // namespace ane::distributed
