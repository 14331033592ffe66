#include "ane/distributed/rank_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "ane/core/error.h"
#include "ane/core/mapped_memory.h"
#include "ane/distributed/transfers.h"

#include "launcher.h"
#include "link_protocol.h"
#include "mpi_connection.h"
#include "trainer_output.h"

namespace ane::distributed {

namespace {

using std::chrono::milliseconds;

/// How long a rank waits for another one to report the same fault, and to end the job.
constexpr std::chrono::seconds kGrace(3);
constexpr int kSignalExit = 128;
constexpr int kFault = 70;
constexpr int kDevice = 4;

/// Signals that a rank process passes on to its trainer. Open MPI sends SIGUSR1 to the ranks when mpirun receives it.
constexpr std::array kPassedSignals = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU};

// A handler can only write to globals.
volatile std::sig_atomic_t received_signal = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

extern "C" void remember_signal(int number) { received_signal = number; }

void handle_signals() {
  for (const int number : kPassedSignals) {
    struct sigaction action = {};
    action.sa_handler = remember_signal;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);
}

/// Serves a trainer until it ends.
class RankProcess {
 public:
  RankProcess(pid_t trainer, Descriptor socket, Descriptor errors)
      : trainer_(trainer),
        socket_(std::move(socket)),
        output_(std::move(errors)),
        transfers_(
            *messages_, [this](int rank) { report_lost(rank); }, [this] { look_around(); }) {}

  /// Returns the exit code.
  int run() {
    handle_signals();
    hosts_ = transfers_.exchange(mpi_host());
    while (!trainer_status_) {
      std::array<pollfd, 2> events{pollfd{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                                   pollfd{.fd = output_.descriptor(), .events = POLLIN, .revents = 0}};
      constexpr int kLookMilliseconds = 50;
      ::poll(events.data(), events.size(), kLookMilliseconds);
      if ((events[0].revents & POLLIN) != 0 && !serve()) await_end();
      look_around();
      if ((events[0].revents & POLLHUP) != 0) await_end();
    }
    return exit_code();
  }

  /// Ends the job after a fault. If it is that the trainer has ended, that is reported instead.
  [[noreturn]] void give_up(std::string_view fault) {
    constexpr int kLooks = 100;
    for (int i = 0; i < kLooks; ++i) {
      look_around();
      std::this_thread::sleep_for(milliseconds(10));
    }
    ::kill(-trainer_, SIGKILL);
    print(fmt::format("{}: {}", name_of(messages_->rank()), fault));
    end_job(kFault);
  }

 private:
  /// Passes signals and warnings on, and notices the trainer's end.
  void look_around() {
    if (const int number = std::exchange(received_signal, 0); number != 0) {
      passed_signal_ = number == SIGUSR1 || number == SIGUSR2 ? SIGTERM : number;
      ::kill(trainer_, passed_signal_);
    }
    pass_warnings_on();
    int status = 0;
    if (trainer_status_ || ::waitpid(trainer_, &status, WNOHANG) != trainer_) return;
    trainer_status_ = status;
    pass_warnings_on();
    if (!has_finished_) fail();  // perhaps in the middle of a transfer
  }

  /// mpirun collects what all rank processes print.
  void pass_warnings_on() {
    for (const std::string& warning : output_.read_warnings(name_of(messages_->rank())))
      fmt::print(stderr, "{}\n", warning);
  }

  /// The trainer has closed its socket, so it ends soon.
  void await_end() {
    while (!trainer_status_) {
      look_around();
      std::this_thread::sleep_for(milliseconds(5));
    }
  }

  [[nodiscard]] int exit_code() const {
    return WIFEXITED(*trainer_status_) ? WEXITSTATUS(*trainer_status_) : kSignalExit + WTERMSIG(*trainer_status_);
  }

  [[nodiscard]] std::string name_of(int rank) const {
    const auto index = static_cast<std::size_t>(rank);
    return index < hosts_.size() ? fmt::format("rank {} ({})", rank, hosts_[index]) : fmt::format("rank {}", rank);
  }

  static void print(std::string_view text) { fmt::print(stderr, "ane-train: {}\n", text); }

  /// The trainer ended alone. If it was the same fault in all ranks, the first rank's message is enough: the others
  /// wait for a moment, in which they are ended.
  void fail() {
    if (WIFEXITED(*trainer_status_) && WEXITSTATUS(*trainer_status_) == 0) return;
    if (messages_->rank() != 0) std::this_thread::sleep_for(kGrace);
    const std::string name = name_of(messages_->rank());
    if (WIFSIGNALED(*trainer_status_) && WTERMSIG(*trainer_status_) == passed_signal_) {
      // It had not begun to train. The signal may mean that another rank has failed, whose code should be the first.
      std::this_thread::sleep_for(kGrace);
      end_job(exit_code());
    }
    if (WIFSIGNALED(*trainer_status_)) {
      print(
          fmt::format("the trainer of {} was killed by signal {}; the run ends on all ranks, and --resume continues "
                      "from the last checkpoint",
                      name, WTERMSIG(*trainer_status_)));
    } else if (messages_->rank() != 0) {
      print(fmt::format("{}: {}", name, output_.error()));
    } else {
      print(fmt::format("{} ended with exit code {}, and so do all others", name, exit_code()));
    }
    end_job(exit_code());
  }

  [[noreturn]] static void end_job(int code) {
    std::fflush(stderr);
    abort_mpi(code);
  }

  /// `rank` has not answered in time. The lowest of the waiting ranks reports it, and the others give it time to end
  /// the job. It waits, too: a process that was stopped continues when a launcher ends it, and then seems to have
  /// waited for the others.
  void report_lost(int rank) {
    ::kill(-trainer_, SIGKILL);
    const int reporter = rank == 0 ? 1 : 0;
    std::this_thread::sleep_for(messages_->rank() == reporter ? kGrace : 3 * kGrace);
    print(
        fmt::format("{} has not answered for {:.0f} s (--rank-timeout); the run ends on all ranks, and --resume "
                    "continues from the last checkpoint",
                    name_of(rank), std::chrono::duration<double>(timeout_).count()));
    end_job(kDevice);
  }

  /// Serves one request. Returns false if the trainer has closed its end of the socket.
  bool serve() {
    Header header;
    std::byte first{};
    if (::recv(socket_.get(), &first, 1, MSG_PEEK) <= 0) return false;
    Descriptor memory = receive_with_descriptor(socket_.get(), std::as_writable_bytes(std::span(&header, 1)));
    std::string body(header.body_bytes, '\0');
    receive_all(socket_.get(), std::as_writable_bytes(std::span(body)));
    reply(header.operation, result_of(header, body, memory));
    return true;
  }

  std::string result_of(const Header& header, const std::string& body, const Descriptor& memory) {
    switch (header.operation) {
      case Operation::identify:
        return text_of(RankIdentity{messages_->rank(), messages_->size()});
      case Operation::share:
        timeout_ = milliseconds(header.offset);
        messages_->set_timeout(timeout_);
        map(memory);
        return {};
      case Operation::sum:
        return text_of(std::uint64_t{transfers_.sum(values_at(header.offset, body), bounds_in(body))});
      case Operation::gather:
        return text_of(std::uint64_t{transfers_.gather(values_at(header.offset, body), bounds_in(body))});
      case Operation::exchange:
        return exchange(body);
      case Operation::finish:
        static_cast<void>(exchange_checked("the end of the run", ""));
        has_finished_ = true;
        return {};
    }
    throw DeviceError("an unknown request of a trainer");
  }

  std::string exchange(std::string_view body) {
    const std::string_view purpose = take_text(body);
    std::string result;
    for (const std::string& message : exchange_checked(purpose, take_text(body))) append_text(result, message);
    return result;
  }

  /// Throws DeviceError if a rank is at another point of the run.
  std::vector<std::string> exchange_checked(std::string_view purpose, std::string_view message) {
    std::string both;
    append_text(both, purpose);
    append_text(both, message);
    const std::vector<std::string> received = transfers_.exchange(both);
    std::vector<std::string> messages;
    messages.reserve(received.size());
    for (std::size_t rank = 0; rank < received.size(); ++rank) {
      std::string_view rest = received[rank];
      if (const std::string_view theirs = take_text(rest); theirs != purpose)
        throw DeviceError(fmt::format("the ranks are at different points of the run: {} has reached '{}', but {} '{}'",
                                      name_of(messages_->rank()), purpose, name_of(static_cast<int>(rank)), theirs));
      messages.emplace_back(take_text(rest));
    }
    return messages;
  }

  template <class Value>
  static std::string text_of(const Value& value) {
    return {reinterpret_cast<const char*>(&value), sizeof(value)};
  }

  void reply(Operation operation, std::string_view body) {
    const Header header{.operation = operation, .body_bytes = body.size()};
    send_all(socket_.get(), bytes_of(header));
    send_all(socket_.get(), std::as_bytes(std::span(body)));
  }

  void map(const Descriptor& memory) {
    struct stat status {};
    if (!memory || ::fstat(memory.get(), &status) != 0) throw DeviceError("a trainer's state cannot be mapped");
    memory_ = MappedMemory::shared(memory.get(), static_cast<std::size_t>(status.st_size));
  }

  static std::vector<std::size_t> bounds_in(std::string_view body) {
    std::vector<std::size_t> bounds(body.size() / sizeof(std::size_t));
    body.copy(reinterpret_cast<char*>(bounds.data()), bounds.size() * sizeof(std::size_t));
    return bounds;
  }

  std::span<float> values_at(std::uint64_t offset, std::string_view body) const {
    const std::size_t count = bounds_in(body).back();
    if (offset + count * sizeof(float) > memory_.size()) throw DeviceError("a request exceeds the trainer's state");
    return {reinterpret_cast<float*>(memory_.data() + offset), count};
  }

  pid_t trainer_;
  Descriptor socket_;
  TrainerOutput output_;
  std::unique_ptr<Messages> messages_ = connect_mpi();
  Transfers transfers_;
  std::vector<std::string> hosts_;
  milliseconds timeout_{};
  MappedMemory memory_;
  bool has_finished_ = false;
  int passed_signal_ = 0;  ///< the last one
  std::optional<int> trainer_status_;
};

/// Makes this process, just forked, a trainer. Only the first rank prints.
void become_trainer(pid_t rank_process, const Descriptor& errors) {
  ::setpgid(0, 0);
#ifdef __linux__
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // also ends a stopped trainer
  if (::getppid() != rank_process) std::_Exit(kDevice);
#else
  static_cast<void>(rank_process);
#endif
  forget_launcher();
  if (!errors) return;
  const Descriptor nowhere(::open("/dev/null", O_WRONLY));
  ::dup2(nowhere.get(), STDOUT_FILENO);
  ::dup2(errors.get(), STDERR_FILENO);
}

std::pair<Descriptor, Descriptor> socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0)
    throw DeviceError(fmt::format("a socket cannot be opened: {}", system_message(errno)));
  for (const int end : ends) {
    ::fcntl(end, F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
    const int on = 1;
    ::setsockopt(end, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
  }
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

}  // namespace

void let_first_rank_report() { std::this_thread::sleep_for(kGrace); }

Forked fork_trainer() {
  if (!has_mpi())
    throw UsageError(
        fmt::format("mpirun started {} processes, but this ane-train was built without MPI and would train {} times. "
                    "Install Open MPI or MPICH and build again",
                    launched_ranks(), launched_ranks()));
  auto [ours, theirs] = socket_pair();
  std::array<int, 2> errors{Descriptor::kNone, Descriptor::kNone};
  if (launched_rank() != 0 && ::pipe(errors.data()) != 0)
    throw DeviceError(fmt::format("a pipe cannot be opened: {}", system_message(errno)));
  Descriptor errors_out(errors[0]);
  Descriptor errors_in(errors[1]);
  const pid_t self = ::getpid();
  const pid_t trainer = ::fork();
  if (trainer < 0) throw DeviceError(fmt::format("no trainer can be started: {}", system_message(errno)));
  if (trainer == 0) {
    become_trainer(self, errors_in);
    return {.link = std::move(theirs)};
  }
  ::setpgid(trainer, trainer);  // whichever process comes first
  theirs = Descriptor();
  errors_in = Descriptor();
  RankProcess process(trainer, std::move(ours), std::move(errors_out));
  try {
    return {.link = {}, .exit_code = process.run()};
  } catch (const std::exception& error) {
    process.give_up(error.what());  // without leaving the scope of `process`, which would wait for the other ranks
  }
}

}  // namespace ane::distributed
