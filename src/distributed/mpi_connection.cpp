#include "mpi_connection.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <span>
#include <thread>
#include <vector>

#include <mpi.h>

#include "ane/core/error.h"
#include "ane/distributed/rank_process.h"

namespace ane::distributed {

namespace {

constexpr int kTag = 1;

/// Larger messages are sent in parts of this size. Open MPI sends a message of up to 64 KB at once over TCP. It
/// announces larger ones, and what the receiver answers waits behind the data in the other direction: the link is then
/// used in one direction at a time.
constexpr std::size_t kPartBytes = std::size_t{60} << 10U;

/// How long to wait before MPI is asked again. Waiting must not take processor time from the trainers, and MPI's own
/// functions that wait spin.
std::chrono::microseconds pause(int polls) {
  constexpr int kShort = 64;
  return std::chrono::microseconds(polls < kShort ? 20 : 200);
}

class MpiMessages : public Messages {
 public:
  MpiMessages() {
    if (MPI_Init(nullptr, nullptr) != MPI_SUCCESS) throw DeviceError("MPI could not be initialized");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  ~MpiMessages() override { MPI_Finalize(); }
  MpiMessages(const MpiMessages&) = delete;
  MpiMessages& operator=(const MpiMessages&) = delete;

  [[nodiscard]] int rank() const noexcept override { return rank_; }
  [[nodiscard]] int size() const noexcept override { return size_; }

  std::optional<int> transfer(std::span<const Message> sent, std::span<const Message> received,
                              const Meanwhile& meanwhile) override {
    requests_.clear();
    peers_.clear();
    for (const Message& message : received) begin(message, MPI_Irecv);
    for (const Message& message : sent) begin(message, MPI_Isend);
    const auto give_up = std::chrono::steady_clock::now() + timeout();
    for (int polls = 0; !are_done(); ++polls) {
      std::this_thread::sleep_for(pause(polls));
      constexpr int kPollsPerLook = 8;
      if (polls % kPollsPerLook != 0) continue;
      meanwhile();
      if (std::chrono::steady_clock::now() >= give_up) return missing();
    }
    return std::nullopt;
  }

 private:
  template <class Function>
  void begin(const Message& message, Function function) {
    for (std::span<std::byte> rest = message.bytes; !rest.empty();) {
      const std::span<std::byte> part = rest.first(std::min(kPartBytes, rest.size()));
      rest = rest.subspan(part.size());
      peers_.push_back(message.peer);
      function(part.data(), static_cast<int>(part.size()), MPI_BYTE, message.peer, kTag, MPI_COMM_WORLD,
               &requests_.emplace_back());
    }
  }

  bool are_done() {
    int done = 0;
    MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE);
    return done != 0;
  }

  [[nodiscard]] std::optional<int> missing() const {
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      int done = 0;
      MPI_Request_get_status(requests_[i], &done, MPI_STATUS_IGNORE);
      if (done == 0) return peers_[i];
    }
    return std::nullopt;
  }

  int rank_ = 0;
  int size_ = 1;
  std::vector<MPI_Request> requests_;  // kept to avoid allocations
  std::vector<int> peers_;
};

}  // namespace

bool has_mpi() noexcept { return true; }

std::unique_ptr<Messages> connect_mpi() { return std::make_unique<MpiMessages>(); }

std::string mpi_host() {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  MPI_Get_processor_name(name.data(), &length);
  return {name.data(), static_cast<std::size_t>(length)};
}

void abort_mpi(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::abort();  // MPI_Abort does not return
}

}  // namespace ane::distributed
