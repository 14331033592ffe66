#include "ane/app/mil_command.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ane/app/devices.h"
#include "ane/app/kernel_run.h"
#include "ane/app/mil_weights.h"
#include "ane/app/option_values.h"
#include "ane/cli/settings.h"
#include "ane/cli/terminal.h"
#include "ane/cli/text.h"
#include "ane/core/error.h"
#include "ane/core/file.h"
#include "ane/device/host/host_device.h"
#include "ane/mil/text.h"

namespace ane::app {
namespace {

constexpr const char* kFileArgument = "FILE";

constexpr std::array<std::string_view, 1> kSettings = {"device"};

/// Value of --weights that generates missing weights.
constexpr std::string_view kRandomWeights = "random";

struct MilOptions {
  std::string file;
  std::string weights;   ///< empty: the file's directory
  std::string function;  ///< empty: `main`, or the first
  cli::DeviceChoice device;
  std::string chip;  ///< whose rules apply; empty: the rules of all chips
  bool compare;      ///< with the host
  bool run;
  std::int64_t seed;
  std::int64_t runs;
};

MilOptions read_options(const cli::FlagValues& given) {
  const OptionValues values(given);
  const std::string compare = values.text("compare");
  if (!compare.empty() && compare != "host")
    throw UsageError(fmt::format("--compare: '{}' is not host, the only reference device", compare));
  return {.file = values.text(kFileArgument),
          .weights = values.text("weights"),
          .function = values.text("function"),
          .device = cli::load_settings(values.settings(kSettings), {}).values.device,
          .chip = values.text("chip"),
          .compare = !compare.empty(),
          .run = !compare.empty() || values.toggle("run"),
          .seed = values.whole("seed", 0, std::numeric_limits<std::int64_t>::max(), 42),
          .runs = values.whole("runs", 1, 1000000, 3)};
}

/// The program to check, reduced to one function.
struct Subject {
  mil::Program program;
  std::string text;                 ///< the original text if it is the whole file, else a printed program
  std::vector<std::string> others;  ///< names of the omitted functions
  std::string fault_of_others;      ///< parse error of an omitted function; empty if there is none
};

std::string choose(const std::vector<std::string>& names, const std::string& wanted) {
  const auto is_there = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (wanted.empty()) return is_there("main") ? "main" : names.front();
  if (is_there(wanted)) return wanted;
  throw FileError(fmt::format("unknown function '{}'; --function NAME accepts {}", wanted, fmt::join(names, ", ")));
}

std::vector<std::string> names_in(const std::string& text) try {
  return mil::function_names(text);
} catch (const mil::ParseError&) {
  static_cast<void>(mil::parse(text));  // reports more precisely
  throw;
}

/// Throws ParseError, or FileError if the function does not exist.
Subject parse_subject(std::string text, const std::string& wanted) {
  const std::vector<std::string> names = names_in(text);
  const std::string chosen = choose(names, wanted);
  Subject subject;
  std::copy_if(names.begin(), names.end(), std::back_inserter(subject.others),
               [&](const std::string& name) { return name != chosen; });
  try {
    subject.program = mil::parse(text);
    std::erase_if(subject.program.functions, [&](const mil::Function& function) { return function.name != chosen; });
  } catch (const mil::ParseError& error) {
    subject.program = mil::parse_function(text, chosen);
    subject.fault_of_others = error.what();
  }
  subject.text = subject.others.empty() ? std::move(text) : mil::print(subject.program);
  return subject;
}

/// Throws FileError if `file` is not MIL text or the function does not exist.
Subject read_subject(const std::filesystem::path& file, const std::string& wanted) {
  std::string text = read_text_file(file, "MIL text");
  try {
    return parse_subject(std::move(text), wanted);
  } catch (const Error& error) {
    throw FileError(fmt::format("{}: {}", file.string(), error.what()));
  }
}

void print_ports(const char* title, const mil::Function& main, const std::vector<mil::ValueId>& ports,
                 cli::Terminal& terminal) {
  terminal.print(title);
  for (const mil::ValueId id : ports) {
    const mil::Value& value = main.value(id);
    terminal.print(fmt::format("  {}: {}, {} bytes", value.name, mil::to_string(value.type),
                               mil::surface_layout(value.type).size_bytes));
  }
}

void print_program(const Subject& subject, const std::vector<std::string>& blobs, cli::Terminal& terminal) {
  const mil::Program& program = subject.program;
  const mil::Function& main = program.main();
  terminal.print(fmt::format("function {} of {} operations, program({})/{}", main.name, main.operations.size(),
                             mil::name(program.version), mil::name(main.opset)));
  if (!subject.others.empty()) {
    terminal.print(fmt::format("Other functions (--function NAME): {}", fmt::join(subject.others, ", ")));
  }
  if (!subject.fault_of_others.empty())
    terminal.print(fmt::format("Note: not all of these functions can be read: {}", subject.fault_of_others));
  if (program.version == mil::Version::v1_5) {
    terminal.print("Note: program(1.5) is untested: it is not known whether the engine's compiler accepts it.");
  }
  print_ports("Inputs:", main, main.inputs, terminal);
  print_ports("Outputs:", main, main.outputs, terminal);
  if (blobs.empty()) return;
  terminal.print("Weights:");
  for (const std::string& path : blobs) terminal.print("  " + path);
}

/// The rules that the function breaks in a program that also has the other functions, with empty bodies.
std::vector<mil::Diagnostic> broken_rules(Subject& subject, const mil::Blobs& weights, const std::string& chip) {
  std::vector<mil::Function>& functions = subject.program.functions;
  for (const std::string& name : subject.others) functions.emplace_back().name = name;
  std::vector<mil::Diagnostic> broken = mil::check_for_ane(subject.program, weights.empty() ? nullptr : &weights, chip);
  functions.resize(1);
  return broken;
}

void print_rules(const std::vector<mil::Diagnostic>& broken, cli::Terminal& terminal) {
  terminal.print(broken.empty() ? "Rules of the ANE: none broken" : "Broken rules of the ANE:");
  for (const mil::Diagnostic& diagnostic : broken) terminal.print("  " + mil::to_string(diagnostic));
}

/// The weights of `subject`. If some are generated, its text is printed again.
mil::Blobs load_weights(Subject& subject, const MilOptions& options, cli::Terminal& terminal) {
  const bool generate = options.weights == kRandomWeights;
  const std::filesystem::path directory = options.weights.empty() || generate
                                              ? std::filesystem::path(options.file).parent_path()
                                              : std::filesystem::path(options.weights);
  const auto seed = static_cast<std::uint64_t>(options.seed);
  MilWeights weights = load_mil_weights(subject.program, directory, generate ? std::optional(seed) : std::nullopt);
  if (!weights.generated.empty()) {
    subject.text = mil::print(subject.program);
    terminal.print(fmt::format("Weights generated from seed {} because their files are missing: {}", seed,
                               fmt::join(weights.generated, ", ")));
  }
  return std::move(weights.blobs);
}

void print_output(const TensorValues& output, cli::Terminal& terminal) {
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  double sum = 0;
  std::size_t finite = 0;
  for (const double value : output.values) {
    if (!std::isfinite(value)) continue;
    least = std::min(least, value);
    most = std::max(most, value);
    sum += value;
    ++finite;
  }
  std::string range = "no finite value";
  if (finite > 0)
    range = fmt::format("from {:.6g} to {:.6g}, mean {:.6g}", least, most, sum / static_cast<double>(finite));
  if (finite < output.values.size()) range += fmt::format(", {} not finite", output.values.size() - finite);
  terminal.print(fmt::format("  {}: {}, checksum {:016x}", output.name, range, output.checksum));
}

void print_run(const device::Device& device, KernelRun run, cli::Terminal& terminal) {
  std::sort(run.times.begin(), run.times.end());
  const auto ms = [](std::chrono::nanoseconds time) { return std::chrono::duration<double, std::milli>(time).count(); };
  terminal.print(fmt::format("Run on {}: {} times, fastest {:.3f} ms, median {:.3f} ms", device.name(),
                             run.times.size(), ms(run.times.front()), ms(run.times[run.times.size() / 2])));
  for (const TensorValues& output : run.outputs) print_output(output, terminal);
}

void print_comparison(const KernelRun& run, const KernelRun& reference, const device::Device& device,
                      cli::Terminal& terminal) {
  terminal.print(fmt::format("Largest difference between {} and host:", device.name()));
  for (std::size_t i = 0; i < run.outputs.size(); ++i) {
    const Difference difference = compare(reference.outputs[i], run.outputs[i]);
    terminal.print(
        fmt::format("  {}: {:.6g}, of values up to {:.6g}", run.outputs[i].name, difference.largest, difference.scale));
  }
}

void run_program(const MilOptions& options, const std::string& text, const mil::Blobs& weights,
                 cli::Terminal& terminal) {
  math::ThreadPool threads(math::processor_count());
  const PickedDevice picked = pick_device(options.device, {}, threads);
  if (!picked.note.empty()) terminal.info(picked.note);
  const auto seed = static_cast<std::uint64_t>(options.seed);
  const KernelRun run = run_kernel(*picked.device, text, weights, seed, static_cast<int>(options.runs));
  print_run(*picked.device, run, terminal);
  if (!options.compare) return;
  device::host::HostDevice host(threads);
  print_comparison(run, run_kernel(host, text, weights, seed, 1), *picked.device, terminal);
}

}  // namespace

cli::Command mil_options() {
  using Kind = cli::CommandOption::Kind;
  return {"mil",
          "Checks MIL text: lists its inputs, outputs and the rules of the ANE that it breaks. Can also run it.",
          {{Kind::argument, kFileArgument, "", "MIL text: program(1.0), program(1.3) or program(1.5)"},
           {Kind::value, "function", "NAME", "the function to check and run [main, or the first]"},
           {Kind::value, "weights", "DIR|random",
            "directory that @model_path stands for [the file's]; or random: generate weights missing in the file's "
            "directory"},
           {Kind::toggle, "run", "", "run it on random inputs"},
           {Kind::value, "device", "auto|ane|host", "device to run it on [auto]"},
           {Kind::value, "chip", "NAME", "check the rules of this chip, such as \"M3 Ultra\" [all chips]"},
           {Kind::value, "compare", "host", "also run it on this device and show the largest difference"},
           {Kind::value, "seed", "N", "seed of random inputs and weights [42]"},
           {Kind::value, "runs", "N", "number of timed runs [3]"}}};
}

int mil_command(const cli::FlagValues& values) {
  cli::Terminal terminal;
  const MilOptions options = read_options(values);
  Subject subject = read_subject(options.file, options.function);
  print_program(subject, mil::blob_paths(subject.program), terminal);
  mil::Blobs weights;
  if (options.run || !options.weights.empty()) weights = load_weights(subject, options, terminal);
  print_rules(broken_rules(subject, weights, options.chip), terminal);
  if (options.run) run_program(options, subject.text, weights, terminal);
  return 0;
}

}  // namespace ane::app
