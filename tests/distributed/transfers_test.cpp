#include "ane/distributed/transfers.h"

#include <cmath>
#include <mutex>
#include <string>
#include <vector>

#include "ane/distributed/rank_process.h"

#include "support/catch.h"
#include "support/thread_ranks.h"

namespace {

using ane::distributed::Bounds;
using ane::test::on_ranks;
using ane::test::ThreadCommunicator;

/// Values whose sum depends on the order of the additions.
float value_of(int rank, std::size_t i) {
  const float large = rank % 2 == 0 ? 1e8F : -1e8F;
  return large + static_cast<float>((i * 31 + static_cast<std::size_t>(rank) * 17) % 1001);
}

std::vector<float> values_of(int rank, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = value_of(rank, i);
  return values;
}

}  // namespace

TEST_CASE("each rank gets the sum of its slice in the order of the ranks, and sends what the theory says",
          "[distributed]") {
  // More elements than one piece; unequal slices, one of them empty.
  const std::size_t count = (std::size_t{1} << 18U) * 3 + 7;
  for (int size = 2; size <= 4; ++size) {
    std::vector<std::size_t> bounds(static_cast<std::size_t>(size) + 1, 100);
    bounds.front() = 0;
    bounds.back() = count;
    std::mutex mutex;
    std::size_t sent = 0;
    on_ranks(size, [&](ThreadCommunicator& communicator) {
      const int rank = communicator.rank();
      std::vector<float> values = values_of(rank, count);
      communicator.start_sum(values, bounds);
      communicator.wait();
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const bool is_own =
            i >= bounds[static_cast<std::size_t>(rank)] && i < bounds[static_cast<std::size_t>(rank) + 1];
        float expected = value_of(0, i);
        for (int other = 1; other < size; ++other) expected += value_of(other, i);
        if (!is_own) expected = value_of(rank, i);
        wrong += values[i] == expected ? 0 : 1;
      }
      const std::scoped_lock lock(mutex);
      CHECK(wrong == 0);
      sent += communicator.sent_bytes();
    });
    CHECK(sent == count * sizeof(float) * static_cast<std::size_t>(size - 1));
  }
}

TEST_CASE("gathered slices are the same on all ranks", "[distributed]") {
  constexpr std::size_t kCount = 1000;
  const std::vector<std::size_t> bounds = {0, 300, 300, kCount};
  std::mutex mutex;
  on_ranks(3, [&](ThreadCommunicator& communicator) {
    std::vector<float> values = values_of(communicator.rank(), kCount);
    communicator.gather(values, bounds);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < kCount; ++i) wrong += values[i] == value_of(i < 300 ? 0 : 2, i) ? 0 : 1;
    const std::scoped_lock lock(mutex);
    CHECK(wrong == 0);
  });
}

TEST_CASE("messages of any length arrive in the order of the ranks", "[distributed]") {
  std::mutex mutex;
  on_ranks(4, [&](ThreadCommunicator& communicator) {
    const std::string own(static_cast<std::size_t>(communicator.rank()) * 1000, 'x');
    const std::vector<std::string> all = communicator.exchange("a test", own);
    const std::scoped_lock lock(mutex);
    REQUIRE(all.size() == 4);
    for (std::size_t rank = 0; rank < 4; ++rank) CHECK(all[rank] == std::string(rank * 1000, 'x'));
  });
}

TEST_CASE("a rank that does not answer is named", "[distributed]") {
  ane::test::Mailboxes mailboxes;
  ane::test::ThreadMessages messages(mailboxes, 0, 3);
  messages.set_timeout(std::chrono::milliseconds(10));
  int lost = -1;
  ane::distributed::Transfers transfers(
      messages, [&](int rank) { lost = std::max(lost, rank); }, [] {});
  for (int i = 0; i < 2; ++i) mailboxes.put(1, 0, std::vector<std::byte>(i == 0 ? 8 : 0));
  static_cast<void>(transfers.exchange(""));
  CHECK(lost == 2);
}

TEST_CASE("a trainer's environment does not contain the launcher's variables", "[distributed]") {
  const std::vector<std::string> environment = {"OMPI_COMM_WORLD_SIZE=2", "PMI_RANK=1", "PMI_RANKS=1", "HOME=/"};
  CHECK(ane::distributed::without_launcher(environment) == std::vector<std::string>{"PMI_RANKS=1", "HOME=/"});
}
