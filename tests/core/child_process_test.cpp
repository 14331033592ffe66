#include "ane/core/child_process.h"

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include <unistd.h>

#include "ane/core/error.h"

#include "support/catch.h"

namespace ane {
namespace {

using Words = std::vector<std::string>;
using Read = ChildProcess::Read;

ChildProcess::Time soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

/// A shell that runs what it is sent.
struct Shell {
  explicit Shell(const Words& environment = {}) : process("/bin/sh", environment, ChildProcess::Kind::server) {}

  /// The line that `command` prints.
  std::string answer_to(const std::string& command) {
    std::string line;
    REQUIRE(process.send(command + "\n"));
    REQUIRE(process.read_line(line, soon()) == Read::line);
    return line;
  }

  ChildProcess process;
};

TEST_CASE("a server answers line by line until its input ends", "[core][process]") {
  Shell shell({"GREETING=good morning"});
  CHECK(shell.answer_to("echo $GREETING") == "good morning");
  REQUIRE(shell.process.send("printf 'one\\ntwo\\n\\nunfinished'\n"));
  std::string line;
  for (const std::string expected : {"one", "two", ""}) {
    REQUIRE(shell.process.read_line(line, soon()) == Read::line);
    CHECK(line == expected);
  }
  CHECK(shell.process.read_line(line, std::chrono::steady_clock::now()) == Read::late);
  CHECK_FALSE(shell.process.wait(std::chrono::steady_clock::now()).has_value());
  shell.process.end_input();
  CHECK(shell.process.read_line(line, soon()) == Read::ended);
  const auto end = shell.process.wait(soon());
  REQUIRE(end.has_value());
  CHECK(end->exit_code == 0);
  CHECK(to_string(*end) == "ended with exit code 0");
}

TEST_CASE("a process's end and its last words are known", "[core][process]") {
  Shell shell;
  REQUIRE(shell.process.send("echo first >&2; echo 'ane-train: it is broken' >&2; exit 4\n"));
  std::string line;
  CHECK(shell.process.read_line(line, soon()) == Read::ended);
  CHECK(shell.process.errors() == "first\nane-train: it is broken\n");
  CHECK(last_error(shell.process.errors()) == "it is broken");
  const auto end = shell.process.wait(soon());
  REQUIRE(end.has_value());
  CHECK(end->exit_code == 4);
  CHECK_FALSE(shell.process.send("echo again\n"));  // without SIGPIPE, which would end this test
}

TEST_CASE("a killed process is reported as such, whatever signals its parent blocks", "[core][process]") {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  Shell shell;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  REQUIRE(shell.process.send("kill -TERM $$\n"));
  std::string line;
  CHECK(shell.process.read_line(line, soon()) == Read::ended);
  const auto end = shell.process.wait(soon());
  REQUIRE(end.has_value());
  CHECK(end->signal == SIGTERM);
  CHECK_THAT(to_string(*end), ANE_CONTAINS("was killed by signal 15 ("));
}

TEST_CASE("a server is in its own process group, and is killed with its object", "[core][process]") {
  pid_t process = -1;
  {
    Shell shell;
    process = std::stoi(shell.answer_to("echo $$"));
    CHECK(::getpgid(process) == process);
  }
  CHECK(::kill(process, 0) != 0);
}

TEST_CASE("a job has no input and its parent's process group", "[core][process]") {
  ChildProcess job("/bin/sh", {}, ChildProcess::Kind::job);
  std::string line;
  CHECK(job.read_line(line, soon()) == Read::ended);  // the shell finds no commands
  REQUIRE(job.wait(soon()).has_value());
}

TEST_CASE("an executable that does not exist is an error", "[core][process]") {
  CHECK_THROWS_WITH(ChildProcess("/nowhere/program", {}, ChildProcess::Kind::job),
                    ANE_CONTAINS("a process cannot be started: /nowhere/program: No such file"));
}

}  // namespace
}  // namespace ane
