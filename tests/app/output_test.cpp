#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/program.h"
#include "app/small_run.h"
#include "support/catch.h"

namespace {

using namespace cli_test;

/// What the field's dashboard looks for in each line, in its order; the first pattern that is found takes the line.
struct Pattern {
  std::string name;
  std::regex pattern;
};
const std::vector<Pattern>& dashboard_patterns() {
  static const std::string figure = R"(([0-9.]+))";
  static const std::vector<Pattern> patterns = [] {
    const auto with_numbers = [](std::string text) {
      for (std::size_t at = 0; (at = text.find('#', at)) != std::string::npos;) text.replace(at, 1, figure);
      return std::regex(text);
    };
    return std::vector<Pattern>{
        {"config", with_numbers("dim=# hidden=# heads=# seq=# vocab=# layers=#")},
        {"parameters", with_numbers(R"(Params: #M \(transformer #M \+ embed #M\))")},
        {"kernels", with_numbers("Kernels: #.*?# weight-bearing")},
        {"accumulation", with_numbers("Accum #.*LR=([0-9.e+-]+)")},
        {"flops", with_numbers("FLOPs/step: fwd=#M bwd_dx=#M bwd_dW=#M sdpa_bwd=#M total=#M")},
        {"ane flops", with_numbers("ANE FLOPs/step: #M")},
        {"step", with_numbers(R"(step\s+([0-9]+)\s+loss=#(?:\s+lr=([0-9.e+-]+))?(?:\s+#ms/step)?)")},
        {"batch", with_numbers(R"(\[batch ([0-9]+): compile=#ms train=#ms \(#ms/step\) compiles=([0-9]+)\])")},
        {"timing", with_numbers("ane=# io=# cls=# elem=# rms=# cblas_wait=#")},
        {"efficiency", std::regex(R"((Total steps|Wall time|Compile time|Train time|Avg train|ANE TFLOPS):?\s+(.+))")}};
  }();
  return patterns;
}

/// The texts that the dashboard would take from a run's output, by pattern.
std::map<std::string, std::vector<std::smatch>> read_by_dashboard(const std::vector<std::string>& lines) {
  std::map<std::string, std::vector<std::smatch>> found;
  for (const std::string& line : lines) {
    for (const auto& [name, pattern] : dashboard_patterns()) {
      std::smatch match;
      if (!std::regex_search(line, match, pattern)) continue;
      found[name].push_back(match);
      break;
    }
  }
  return found;
}

/// The lines of updates, without what depends on the machine's speed.
std::vector<std::string> update_lines(const std::string& out) {
  std::vector<std::string> found;
  const std::regex speed(R"( \| [0-9.]+[kM]? tok/s \| [0-9:?]+ left$)");
  for (const std::string& line : lines_of(out))
    if (line.starts_with("update ")) found.push_back(std::regex_replace(line, speed, ""));
  return found;
}

/// A terminal of a run: the stream that goes to it, its width (0: it does not say), and the variables that describe it.
struct TerminalKind {
  int stream = STDOUT_FILENO;
  int columns = 80;
  std::map<std::string, std::string> environment{};
};

/// The columns of each progress bar in a terminal's text: the characters between the sequence that erases a line and
/// the next one or the end of the line.
std::vector<std::size_t> bar_columns(const std::string& text) {
  constexpr std::string_view kErase = "\033[K";
  std::vector<std::size_t> widths;
  for (std::size_t at = text.find(kErase); at != std::string::npos; at = text.find(kErase, at)) {
    at += kErase.size();
    const std::string bar = text.substr(at, text.find_first_of("\033\n", at) - at);
    widths.push_back(static_cast<std::size_t>(std::count_if(
        bar.begin(), bar.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; })));
  }
  return widths;
}

/// Runs ane-train with one of its streams on a terminal, and returns what it writes there. The other stream is lost.
std::string run_on_terminal(const Words& arguments, const Folder& folder, const TerminalKind& kind = {}) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  REQUIRE(::grantpt(terminal) == 0);
  REQUIRE(::unlockpt(terminal) == 0);
  const std::string name = ::ptsname(terminal);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const int shown = ::open(name.c_str(), O_RDWR | O_NOCTTY);
    const int lost = ::open("/dev/null", O_WRONLY);
    const winsize size = {
        .ws_row = 24, .ws_col = static_cast<unsigned short>(kind.columns), .ws_xpixel = 0, .ws_ypixel = 0};
    const int other = kind.stream == STDOUT_FILENO ? STDERR_FILENO : STDOUT_FILENO;
    if (shown < 0 || ::ioctl(shown, TIOCSWINSZ, &size) != 0 || ::dup2(shown, kind.stream) < 0 ||
        ::dup2(lost, other) < 0)
      ::_exit(126);
    for (const char* variable : {"NO_COLOR", "COLORTERM", "LC_ALL"}) ::unsetenv(variable);
    ::setenv("TERM", "xterm-256color", 1);
    for (const auto& [variable, value] : kind.environment) ::setenv(variable.c_str(), value.c_str(), 1);
    std::vector<char*> words = {const_cast<char*>(ANE_TRAIN_PROGRAM)};
    for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    if (::chdir(folder.path().c_str()) == 0) ::execv(ANE_TRAIN_PROGRAM, words.data());
    ::_exit(127);
  }
  std::string text;
  std::array<char, 4096> buffer{};
  for (bool ended = false;;) {  // reading fails until the child has opened its side, and after it has closed it
    const ssize_t count = ::read(terminal, buffer.data(), buffer.size());
    if (count > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(count));
      continue;
    }
    if (ended) break;
    int status = 0;
    ended = ::waitpid(child, &status, WNOHANG) == child;
    if (ended) CHECK(status == 0);
    if (!ended) ::usleep(1000);
  }
  ::close(terminal);
  std::erase(text, '\r');
  return text;
}

}  // namespace

TEST_CASE("the field's dashboard finds what it reads", "[app][output]") {
  const Folder folder;
  const bool given = GENERATE(false, true);  // it is the default where standard output is not a terminal
  const Words settings = kSmall + Words{"--steps", "20"} + (given ? Words{"--output", "dashboard"} : Words{});
  const Result result = run(settings, {"ANE_MAX_COMPILES=13"}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  const std::vector<std::string> lines = lines_of(result.out);
  auto found = read_by_dashboard(lines);
  for (const char* once : {"config", "parameters", "kernels", "accumulation", "flops", "ane flops"}) {
    CAPTURE(once);
    CHECK(found[once].size() == 1);
  }
  CHECK(found["config"].at(0)[1] == "32");
  CHECK(found["config"].at(0)[6] == "1");
  CHECK(found["kernels"].at(0)[1] == "6");
  CHECK(found["kernels"].at(0)[2] == "5");
  CHECK(found["accumulation"].at(0)[1] == "2");
  CHECK(found["accumulation"].at(0)[2] == "1.0e-03");
  REQUIRE(found["step"].size() == 3);
  CHECK(found["step"].at(1)[1] == "10");
  CHECK(found["step"].at(1)[3] == "1.0e-03");
  CHECK(found["step"].at(1)[4].matched);
  CHECK(found["batch"].size() == 3);
  CHECK(found["batch"].at(0)[1] == "2");
  CHECK(found["timing"].size() == 4);  // and the report's
  CHECK(found["efficiency"].size() == 5);
  const auto matching = [&](const char* pattern) {
    return std::count_if(lines.begin(), lines.end(),
                         [&](const std::string& line) { return std::regex_search(line, std::regex(pattern)); });
  };
  CHECK(matching(R"(\[exec\(\) restart step ([0-9]+))") == 4);
  CHECK(matching(R"(\[RESUMED step ([0-9]+), loss=([0-9.]+)\])") == 4);
}

TEST_CASE("plain output has a line per update, the same however the run is divided", "[app][output]") {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 500; ++i) text += "plain";
  write_file(folder / "a.txt", text);
  const Words settings =
      with(kSmall, "--vocab", "256") +
      Words{"--steps", "20", "--data", "a.txt", "--output", "plain", "--val-every", "3", "--log-every", "4"};
  const Result whole = run(settings, {"ANE_MAX_COMPILES=1000000"}, folder.path());
  CAPTURE(whole.out, whole.err);
  REQUIRE(whole.code == 0);
  const std::vector<std::string> lines = update_lines(whole.out);
  // The first, the last, the validated ones, and those four steps after another line.
  std::vector<std::string> updates;
  for (const std::string& line : lines) updates.push_back(line.substr(0, line.find(" |")));
  CHECK(updates == Words{"update 1/10", "update 3/10", "update 5/10", "update 6/10", "update 8/10", "update 9/10",
                         "update 10/10"});
  for (const std::string& line : lines) {
    CAPTURE(line);
    const bool validated = line.starts_with("update 3/") || line.starts_with("update 6/") ||
                           line.starts_with("update 9/") || line.starts_with("update 10/");
    CHECK(std::regex_match(
        line, std::regex(R"(update \d+/10 \| epoch \d\.\d\d \| train \d\.\d{3})" +
                         std::string(validated ? R"( \| val \d\.\d{3}( \(best\))? \d\.\d\d bits/byte)" : "") +
                         R"( \| lr 1\.0e-03 \| grad \d+\.\d\d)")));
  }
  CHECK_THAT(lines.at(1), ANE_CONTAINS("(best)"));
  CHECK_THAT(whole.out, ANE_CONTAINS("Baseline: a model that knows only the frequencies of bytes has a loss of 1.61"));
  CHECK_THAT(whole.out, ANE_CONTAINS("AdamW") && ANE_CONTAINS("=== Efficiency Report ==="));
  CHECK_THAT(whole.out, !ANE_CONTAINS("\nstep ") && !ANE_CONTAINS("FLOPs") && !ANE_CONTAINS("[val "));

  const Result cut = run(settings, {"ANE_MAX_COMPILES=8"}, folder.path());
  CAPTURE(cut.out, cut.err);
  REQUIRE(cut.code == 0);
  CHECK(update_lines(cut.out) == lines);
  CHECK_THAT(cut.out, !ANE_CONTAINS("restart step") && !ANE_CONTAINS("restarted"));
  CHECK(count(cut.out, "Model:") == 1);
  const Result verbose = run(settings + Words{"--verbose"}, {"ANE_MAX_COMPILES=8"}, folder.path());
  CHECK(count(verbose.out, "\nrestarted after step ") == 9);
  CHECK(update_lines(verbose.out) == lines);
}

TEST_CASE("quiet output is the report alone", "[app][output]") {
  const Folder folder;
  const Result result = run(kSmall + Words{"--steps", "20", "--output", "quiet", "--val-every", "2"},
                            {"ANE_MAX_COMPILES=8"}, folder.path());
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out.starts_with("=== Efficiency Report ===\n"));
  for (const std::string& line : lines_of(result.out)) {
    CAPTURE(line);
    CHECK((line.starts_with("=== ") || std::regex_search(line, std::regex("^[A-Za-z ]+:"))));
  }
  CHECK_THAT(result.out, !ANE_CONTAINS("Hint:"));
}

TEST_CASE("a terminal gets plain output, and a config may choose another", "[app][output]") {
  const Folder folder;
  const Words settings = kSmall + Words{"--steps", "4"};
  const std::string plain = run_on_terminal(settings, folder);
  CAPTURE(plain);
  CHECK_THAT(plain, ANE_CONTAINS("\nupdate 2/2 | train ") && !ANE_CONTAINS("\nstep "));
  write_file(folder / "dashboard.json", R"({"output": "dashboard"})");
  const std::string dashboard = run_on_terminal(settings + Words{"--config", "./dashboard.json"}, folder);
  CAPTURE(dashboard);
  CHECK_THAT(dashboard, ANE_CONTAINS("\nstep 4 ") && !ANE_CONTAINS("update 2/2"));
}

TEST_CASE("the progress bar fits every terminal and shows the losses of earlier processes", "[app][output]") {
  const Folder folder;
  const Words settings = kSmall + Words{"--steps", "12", "--max-compiles", "8"};  // each process draws its first step
  for (const int columns : {0, 20, 30, 80, 200}) {
    const std::string shown = run_on_terminal(settings, folder, {STDERR_FILENO, columns, {{"LC_ALL", "C.UTF-8"}}});
    CAPTURE(columns, shown);
    CHECK(count(shown, "11/12") == 1);
    const std::vector<std::size_t> widths = bar_columns(shown);
    CHECK(*std::max_element(widths.begin(), widths.end()) < static_cast<std::size_t>(columns == 0 ? 80 : columns));
    const bool is_wide = columns == 0 || columns >= 80;
    CHECK((count(shown, " tok/s ") > 0) == is_wide);
    CHECK((count(shown, "\u2588") > 0) == is_wide);
  }
  const std::string ascii = run_on_terminal(settings, folder, {STDERR_FILENO, 80, {{"LC_ALL", "C"}}});
  CAPTURE(ascii);
  CHECK_THAT(ascii, ANE_CONTAINS("11/12") && ANE_CONTAINS(" tok/s ") && !ANE_CONTAINS("\xE2"));
}

TEST_CASE("NO_COLOR and a dumb terminal turn colors off", "[app][output]") {
  const Words settings = with(kSmall, "--vocab", "2000") + Words{"--steps", "2", "--data", "a.txt"};
  const auto shown = [&](const std::map<std::string, std::string>& environment) {
    const Folder folder;
    write_file(folder / "a.txt", std::string(1000, 'a'));
    return run_on_terminal(settings, folder, {STDERR_FILENO, 80, environment});
  };
  constexpr const char* kColor = "\033[33m";  // of the warning that bytes do not need so large a vocabulary
  CHECK_THAT(shown({}), ANE_CONTAINS(kColor));
  CHECK_THAT(shown({{"NO_COLOR", ""}}), ANE_CONTAINS(kColor));
  const std::string plain = shown({{"NO_COLOR", "1"}});
  CHECK_THAT(plain, !ANE_CONTAINS(kColor) && ANE_CONTAINS("\033[K") && ANE_CONTAINS(" warning text is "));
  CHECK_THAT(shown({{"TERM", "dumb"}, {"COLORTERM", "truecolor"}}), !ANE_CONTAINS("\033") && ANE_CONTAINS(" warning "));
}
