#include "program.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "ane/mil/ane_rules.h"
#include "ane/mil/text.h"
#include "ane/surface/pool.h"

#include "arithmetic.h"
#include "state.h"

namespace ane::fakes {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void refuse_program(const std::string& text) {
  throw Refusal(kCompileFailed, "_ANECompiler : ANECCompile() FAILED : InvalidMILProgram: " + text, kCompilerDomain);
}

[[noreturn]] void refuse_inference(const std::string& text) {
  throw Refusal(kInferenceFailed, "ANEProgramProcessRequestDirect() Failed with " + text);
}

constexpr std::string_view kModelPath = "@model_path/";

std::uint64_t mixed(std::uint64_t hash, std::span<const std::byte> bytes) {
  constexpr std::uint64_t kPrime = 0x9e3779b97f4a7c15ULL;
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min(sizeof(word), bytes.size() - at));
    hash = (hash ^ word) * kPrime;
    hash ^= hash >> 29U;
  }
  return (hash ^ bytes.size()) * kPrime;
}

/// As long as the SHA-256 used by the framework.
std::string digest(std::span<const std::span<const std::byte>> values) {
  std::string text;
  for (std::uint64_t part = 1; part <= 4; ++part) {
    std::uint64_t hash = part;
    for (const std::span<const std::byte> value : values) hash = mixed(hash, value);
    text += fmt::format("{:016X}", hash);
  }
  return text;
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::optional<std::string> file_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string read_text(const fs::path& directory, const std::string& expected) {
  std::optional<std::string> text = file_text(directory / "model.mil");
  if (!text) refuse_program("there is no model.mil in " + directory.string());
  if (*text != expected) refuse_program("model.mil is not the descriptor's text");
  return std::move(*text);
}

/// The files that the keys of `named` name.
mil::Blobs read_weights(const fs::path& directory, const mil::Blobs& named) {
  mil::Blobs weights;
  for (const auto& [key, data] : named) {
    if (key.substr(0, kModelPath.size()) != kModelPath) refuse_program("weight path " + key);
    const fs::path path = directory / key.substr(kModelPath.size());
    const std::optional<std::string> file = file_text(path);
    if (!file) refuse_program("cannot open " + path.string());
    const std::span<const std::byte> bytes = bytes_of(*file);
    weights.emplace(key, std::vector<std::byte>(bytes.begin(), bytes.end()));
  }
  return weights;
}

void expect_equal(const mil::Blobs& files, const mil::Blobs& dictionary) {
  for (const auto& [key, data] : dictionary) {
    if (files.at(key) != data) refuse_program("the file of " + key + " differs from the weights dictionary");
  }
}

/// The ANE ignores the mask of scaled_dot_product_attention (ane.md A20), so the stand-in does, too.
std::string without_attention_masks(std::string text) {
  if (text.find("attn_mask") == std::string::npos) return text;
  mil::Program program = mil::parse(text);
  for (mil::Function& function : program.functions) {
    for (mil::Operation& operation : function.operations) {
      if (operation.kind != mil::OpKind::scaled_dot_product_attention) continue;
      std::erase_if(operation.arguments, [](const mil::Argument& argument) { return argument.name == "attn_mask"; });
    }
  }
  return mil::print(program);
}

/// Refuses what breaks a rule that the persona's compiler enforces.
void refuse_broken_rules(const Persona& persona, const mil::Program& program, const mil::Blobs& weights) {
  if (persona.refused_rules.empty()) return;
  for (const mil::Diagnostic& found : mil::check_for_ane(program, &weights))
    if (std::ranges::find(persona.refused_rules, found.rule) != persona.refused_rules.end())
      refuse_program(to_string(found));
}

/// What the host device must compile to compute what the persona's engine would.
std::string text_for_host(const std::string& text, const mil::Blobs& weights) {
  const Persona persona = state().persona();
  const std::string unmasked = without_attention_masks(text);
  if (persona.name.empty()) return unmasked;
  const mil::Program program = mil::parse(unmasked);
  refuse_broken_rules(persona, program, weights);
  return mil::print(with_arithmetic_of(persona, program));
}

/// Ports sorted by name, with their original positions.
void sort_ports(std::span<const device::Port> ports, std::vector<device::Port>& sorted,
                std::vector<std::size_t>& places) {
  std::map<std::string, std::size_t> by_name;
  for (std::size_t i = 0; i < ports.size(); ++i) by_name.emplace(ports[i].name, i);
  for (const auto& [name, place] : by_name) {
    sorted.push_back(ports[place]);
    places.push_back(place);
  }
}

/// Adapts external memory for the host device.
class LentMemory final : public surface::Memory {
 public:
  explicit LentMemory(std::span<std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] std::size_t size_bytes() const noexcept override { return bytes_.size(); }
  std::span<std::byte> lock(bool /*for_write*/) override { return bytes_; }
  void unlock(bool /*for_write*/) noexcept override {}

 private:
  std::span<std::byte> bytes_;
};

class Lender final : public surface::Allocator {
 public:
  surface::Surface lend(std::span<std::byte> bytes) {
    next_ = bytes;
    return pool_.acquire(bytes.size());
  }
  std::unique_ptr<surface::Memory> allocate(std::size_t /*size_bytes*/) override {
    return std::make_unique<LentMemory>(next_);
  }

 private:
  std::span<std::byte> next_;
  surface::SurfacePool pool_{*this, 0};
};

/// Surfaces in the kernel's own order for buffers in binding order.
std::vector<surface::Surface> lend_all(Lender& lender, std::span<const device::Port> ports,
                                       std::span<const std::size_t> places,
                                       std::span<const std::span<std::byte>> buffers) {
  if (buffers.size() != ports.size()) {
    refuse_inference(fmt::format("status=0x2: {} surfaces bound, the program has {}", buffers.size(), ports.size()));
  }
  std::vector<surface::Surface> surfaces(ports.size());
  for (std::size_t i = 0; i < ports.size(); ++i) {
    if (buffers[i].size() < ports[i].size_bytes) {
      refuse_inference("status=0x1d : statusType=0x9: Program Inference error");
    }
    surfaces[places[i]] = lender.lend(buffers[i]);
  }
  return surfaces;
}

std::vector<surface::Surface*> pointers(std::vector<surface::Surface>& surfaces) {
  std::vector<surface::Surface*> pointers;
  for (surface::Surface& surface : surfaces) pointers.push_back(&surface);
  return pointers;
}

}  // namespace

std::string Source::identifier() const {
  std::vector<std::span<const std::byte>> values;
  for (const auto& [key, bytes] : weights) values.push_back(bytes);
  const std::array text{bytes_of(mil_text)};
  const std::array plist{bytes_of(options)};
  return fmt::format("{}_{}_{}", digest(text), digest(values), digest(plist));
}

void verify_files(const Source& source, const std::string& directory) {
  if (!state().persona().verifies_files || !fs::exists(directory)) return;
  const auto verify = [&](const fs::path& path, std::span<const std::byte> bytes) {
    const std::optional<std::string> found = file_text(path);
    if (fs::is_symlink(path) || !found || !std::ranges::equal(bytes_of(*found), bytes))
      throw Refusal(kInvalidModel, "verifyBundleAtPath: invalid model: " + path.string());
  };
  verify(fs::path(directory) / "model.mil", bytes_of(source.mil_text));
  for (const auto& [key, data] : source.weights)
    verify(fs::path(directory) / key.substr(kModelPath.size()), data.bytes());
}

Program::Program(const Source& source, const std::string& directory) {
  const std::string text = read_text(directory, source.mil_text);
  const mil::Blobs weights = read_weights(directory, source.weights);
  expect_equal(weights, source.weights);
  compile(text, weights);
}

Program::Program(const Source& source) { compile(source.mil_text, source.weights); }

void Program::compile(const std::string& text, const mil::Blobs& weights) {
  const char* const refused = std::getenv("STANDIN_REFUSE");
  if (refused != nullptr && text.find(fmt::format("= {}(", refused)) != std::string::npos) refuse_program(refused);
  const std::scoped_lock lock(state().host_mutex());
  try {
    kernel_ = state().host().compile("kernel", text_for_host(text, weights), weights);
  } catch (const Refusal&) {
    throw;
  } catch (const Error& error) {
    refuse_program(error.what());
  }
  sort_ports(kernel_->inputs(), inputs_, input_places_);
  sort_ports(kernel_->outputs(), outputs_, output_places_);
}

Program::~Program() {
  const std::scoped_lock lock(state().host_mutex());
  kernel_.reset();
}

void Program::run(std::span<const std::span<std::byte>> inputs, std::span<const std::span<std::byte>> outputs) {
  Lender lender;
  std::vector<surface::Surface> in = lend_all(lender, inputs_, input_places_, inputs);
  std::vector<surface::Surface> out = lend_all(lender, outputs_, output_places_, outputs);
  const std::scoped_lock lock(state().host_mutex());
  try {
    kernel_->run(pointers(in), pointers(out));
  } catch (const Error& error) {
    refuse_inference(std::string("status=0x1: ") + error.what());
  }
}

}  // namespace ane::fakes
