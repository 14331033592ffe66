#include "ane/device/apple/probe.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "frameworks.h"

namespace ane::device::apple {

namespace {

/// Reduces a library to its file name, without dlopen's list of searched paths.
Finding brief(Finding finding) {
  if (finding.kind == Finding::Kind::library) {
    finding.name = std::filesystem::path(finding.name).filename().string();
    finding.note.clear();
  }
  return finding;
}

}  // namespace

bool Probe::usable() const {
  return has_ane.value_or(true) && std::all_of(findings.begin(), findings.end(), [](const Finding& finding) {
           return finding.found || !finding.required;
         });
}

bool Probe::usable_unasked() const { return usable() && !virtual_machine.value_or(false); }

std::string Probe::reason() const {
  if (usable_unasked()) return {};
  if (usable()) {
    return "this is a virtual machine, in which programs for the Apple Neural Engine run only if its host supports "
           "them; --device ane tries it, and ane-train doctor --device ane shows whether it computes correctly";
  }
  std::string missing;
  for (const Finding& finding : findings) {
    if (finding.found || !finding.required) continue;
    missing += (missing.empty() ? "" : "; ") + to_string(brief(finding));
  }
  const bool is_apple =
      std::any_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.found; });
  if (!is_apple) missing = "none of Apple's frameworks is present";
  if (missing.empty()) missing = "the framework reports no ANE in this machine (a virtual machine has none)";
  return fmt::format("the Apple Neural Engine cannot be used on {}{}{}: {}", os.empty() ? "this system" : os,
                     chip.empty() ? "" : ", ", chip, missing);
}

Probe probe(const LibraryPaths& paths) { return Frameworks(paths).probe(); }

}  // namespace ane::device::apple
