#include "run/kernel.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace ane::device::host {
namespace {

using surface::Surface;

void check_ports(std::span<const Port> ports, std::span<Surface* const> surfaces, std::string_view kind) {
  if (ports.size() != surfaces.size()) {
    throw DeviceError(
        fmt::format("the kernel takes {} {} surfaces, but {} were given", ports.size(), kind, surfaces.size()));
  }
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const std::size_t found = surfaces[i] == nullptr ? 0 : surfaces[i]->size_bytes();
    if (found < ports[i].size_bytes) {
      throw DeviceError(fmt::format("{} '{}' ({}) needs a surface of {} bytes, but {}", kind, ports[i].name,
                                    mil::to_string(ports[i].type), ports[i].size_bytes,
                                    found == 0 ? "none was given" : fmt::format("the one given has {}", found)));
    }
  }
}

}  // namespace

AlignedBytes SharedPlan::take_constants() {
  const std::scoped_lock lock(mutex_);
  if (spare_.empty()) return AlignedBytes(plan_.constants_bytes);
  AlignedBytes result = std::move(spare_.back());
  spare_.pop_back();
  return result;
}

void SharedPlan::give_back(AlignedBytes constants) noexcept {
  const std::scoped_lock lock(mutex_);
  try {
    spare_.push_back(std::move(constants));
  } catch (const std::bad_alloc&) {  // then the memory is freed instead
  }
}

void SharedPlan::release_spare() noexcept {
  const std::scoped_lock lock(mutex_);
  spare_.clear();
}

HostKernel::HostKernel(std::shared_ptr<SharedPlan> plan, const mil::Blobs& blobs, Workspace& workspace)
    : shared_(std::move(plan)), workspace_(&workspace), constants_(shared_->take_constants()) {
  run_prologue(blobs);
}

HostKernel::~HostKernel() { shared_->give_back(std::move(constants_)); }

void HostKernel::bind_own_memory(RunMemory& run) {
  for (std::size_t i = 0; i < run.addresses.size(); ++i) {
    const Buffer& buffer = plan().buffers[i];
    if (buffer.space == Space::arena) run.addresses[i] = run.arena.data() + buffer.offset;
    if (buffer.space == Space::constants) run.addresses[i] = constants_.data() + buffer.offset;
    // Literals are read-only because they are shared.
    if (buffer.space == Space::literals) {
      const auto bytes = std::as_bytes(std::span(plan().literals));
      run.addresses[i] = const_cast<std::byte*>(bytes.data()) + buffer.offset;
    }
  }
}

void HostKernel::run_prologue(const mil::Blobs& blobs) {
  const Workspace::Loan run = workspace_->borrow();
  run->fit(plan());
  bind_own_memory(*run);
  for (std::size_t i = 0; i < run->addresses.size(); ++i) {
    const Buffer& buffer = plan().buffers[i];
    if (buffer.space != Space::blob) continue;
    const BlobSource& source = plan().blobs[buffer.index];
    run->addresses[i] = const_cast<std::byte*>(mil::read_blob(blobs, source.ref, source.type).data());
  }
  const RunContext context{run->addresses, &workspace_->threads()};
  for (const Step& step : plan().prologue) std::visit([&](const auto& work) { work.run(context); }, step);
}

void HostKernel::check(std::span<Surface* const> inputs, std::span<Surface* const> outputs) const {
  check_ports(plan().inputs, inputs, "input");
  check_ports(plan().outputs, outputs, "output");
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto same = [&](const Surface* other) { return &other->memory() == &outputs[i]->memory(); };
    if (std::any_of(inputs.begin(), inputs.end(), same)) {
      throw DeviceError(fmt::format("output '{}' uses the surface of an input", plan().outputs[i].name));
    }
    if (std::any_of(outputs.begin(), outputs.begin() + static_cast<std::ptrdiff_t>(i), same)) {
      throw DeviceError(fmt::format("output '{}' uses the surface of another output", plan().outputs[i].name));
    }
  }
}

namespace {

/// Locks a kernel's surfaces without allocating.
class Locks {
 public:
  Locks(std::span<Surface* const> surfaces, bool for_write) : surfaces_(surfaces), for_write_(for_write) {}
  ~Locks() {
    for (std::size_t i = 0; i < locked_; ++i) surfaces_[i]->memory().unlock(for_write_);
  }
  Locks(const Locks&) = delete;
  Locks& operator=(const Locks&) = delete;

  std::span<std::byte> lock_next() {
    const std::span<std::byte> bytes = surfaces_[locked_]->memory().lock(for_write_);
    ++locked_;
    return bytes;
  }

 private:
  std::span<Surface* const> surfaces_;
  bool for_write_;
  std::size_t locked_ = 0;
};

}  // namespace

void HostKernel::run(std::span<Surface* const> inputs, std::span<Surface* const> outputs) {
  check(inputs, outputs);
  const Workspace::Loan run = workspace_->borrow();
  run->fit(plan());
  bind_own_memory(*run);
  Locks reading(inputs, false);
  Locks writing(outputs, true);
#ifdef ANE_POISON
  std::fill_n(run->arena.data(), plan().arena_bytes, std::byte{0xFF});
#endif
  // Ports are created in order, so the buffers of each space are ordered by index.
  for (std::size_t i = 0; i < run->addresses.size(); ++i) {
    const Buffer& buffer = plan().buffers[i];
    if (buffer.space == Space::input) run->addresses[i] = reading.lock_next().data();
    if (buffer.space != Space::output) continue;
    const std::span<std::byte> bytes = writing.lock_next();
    run->addresses[i] = bytes.data();
#ifdef ANE_POISON
    std::fill_n(bytes.data(), plan().outputs[buffer.index].size_bytes, std::byte{0xFF});
#endif
  }
  bind_staging(inputs, *run);
  run_steps(inputs, *run);
}

/// Sets the address of each staged matrix: with its surface if it is resident there, else in the workspace.
void HostKernel::bind_staging(std::span<Surface* const> inputs, RunMemory& run) const {
  if (plan().staging_bytes == 0) return;
  for (const Step& step : plan().steps) {
    const auto* const copy = std::get_if<StagedCopy>(&step);
    if (copy == nullptr) continue;
    surface::Memory& memory = inputs[copy->input()]->memory();
    const surface::Resident* const resident = memory.resident();
    const bool keeps = resident != nullptr && copy->is_resident(*resident);
    StagedMatrices* const matrices = keeps ? &matrices_of(memory) : nullptr;
    std::byte* const base = keeps ? matrices->data() : run.staging.data();
    run.addresses[copy->target()] = base + plan().buffers[copy->target()].offset;
    run.kept[copy->target()] = keeps && matrices->made_of == *resident;
  }
}

/// The matrices that this kernel's plan keeps with a surface; created empty if it is new.
StagedMatrices& HostKernel::matrices_of(surface::Memory& memory) const {
  std::unique_ptr<surface::Attachment>& attachment = memory.attachment();
  auto* matrices = dynamic_cast<StagedMatrices*>(attachment.get());
  if (matrices == nullptr || !matrices->belongs_to(shared_.get())) {
    auto made = std::make_unique<StagedMatrices>(shared_, plan().staging_bytes);
    matrices = made.get();
    attachment = std::move(made);
  }
  return *matrices;
}

void HostKernel::run_steps(std::span<Surface* const> inputs, RunMemory& run) const {
  const RunContext context{run.addresses, workspace_->run_threads()};
  for (const Step& step : plan().steps) {
    const auto* const copy = std::get_if<StagedCopy>(&step);
    if (copy != nullptr && run.kept[copy->target()]) {
#ifdef ANE_POISON
      check_kept(*copy, run);
#endif
      continue;
    }
    std::visit([&](const auto& work) { work.run(context); }, step);
  }
  for (Surface* const input : inputs) {
    const surface::Resident* const resident = input->memory().resident();
    auto* const matrices = dynamic_cast<StagedMatrices*>(input->memory().attachment().get());
    if (resident != nullptr && matrices != nullptr && matrices->belongs_to(shared_.get()))
      matrices->made_of = *resident;
  }
}

#ifdef ANE_POISON
/// Throws if a surface's resident matrix has changed.
void HostKernel::check_kept(const StagedCopy& copy, RunMemory& run) const {
  // Its space in the workspace is free, because the matrix is kept with the surface.
  std::byte* const now = run.staging.data() + plan().buffers[copy.target()].offset;
  std::byte* const kept = std::exchange(run.addresses[copy.target()], now);
  copy.run({run.addresses, workspace_->run_threads()});
  run.addresses[copy.target()] = kept;
  if (std::memcmp(kept, now, copy.size_bytes()) != 0)
    throw DeviceError(
        fmt::format("a resident part of input '{}' changed without a new revision", plan().inputs[copy.input()].name));
}
#endif

}  // namespace ane::device::host
