#include <numeric>
#include <variant>

#include "ane/app/kernel_run.h"
#include "ane/device/host/host_device.h"
#include "ane/math/threads.h"
#include "ane/mil/ane_rules.h"
#include "ane/mil/blob.h"
#include "ane/mil/constants.h"
#include "ane/mil/text.h"
#include "ane/mil/verify.h"

#include "fuzz/support.h"

namespace fuzz {
namespace {

using namespace ane;

/// Limits the work of the slowest operation, which is quadratic in this.
constexpr std::int64_t kMostElements = 2048;

bool is_small(const mil::Function& function) {
  std::int64_t elements = 0;
  for (const mil::Value& value : function.values) {
    elements += std::min(mil::element_count(value.type.shape), kMostElements + 1);
  }
  return elements <= kMostElements;
}

/// A blob file with numbers for each constant that needs one.
mil::Blobs blobs_for(const mil::Program& program) {
  mil::Blobs blobs;
  mil::for_each_blob(
      program, [&](const mil::OpView&, const mil::Constant& constant, const mil::BlobRef& ref, const std::string&) {
        if (blobs.contains(ref.path)) return;
        const auto bytes =
            static_cast<std::size_t>(mil::element_count(constant.type.shape)) * mil::element_bytes(constant.type.dtype);
        const auto data = mil::single_blob(constant.type.dtype, bytes, blobs[ref.path]);
        std::iota(reinterpret_cast<unsigned char*>(data.data()),
                  reinterpret_cast<unsigned char*>(data.data()) + data.size(), static_cast<unsigned char>(1));
      });
  return blobs;
}

/// Reads the last function, whatever the functions before it contain.
void read_last_function(std::string_view text) {
  may_refuse<mil::ParseError>([&] {
    const std::string name = mil::function_names(text).back();
    require(mil::parse_function(text, name).main().name == name, "parse_function() finds what function_names() names");
  });
}

}  // namespace

void mil(Bytes bytes) {
  read_last_function(text_of(bytes));
  ane::mil::Program program;
  try {
    program = ane::mil::parse(text_of(bytes));
  } catch (const ane::mil::ParseError&) {
    return;
  }
  ane::mil::verify(program);
  static_cast<void>(ane::mil::check_for_ane(program));
  const std::string printed = ane::mil::print(program);
  require(ane::mil::parse(printed) == program, "parse(print(p)) == p");

  for (const ane::mil::Function& function : program.functions) {
    if (!is_small(function)) return;
  }
  static math::ThreadPool threads(1);
  device::host::HostDevice host(threads);
  may_refuse<Error>([&] {  // an operation or type that the host does not run
    static_cast<void>(app::run_kernel(host, printed, blobs_for(program), 1, 1));
  });
}

}  // namespace fuzz
