#include "ane/core/descriptor.h"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "ane/core/error.h"

namespace ane {

Descriptor::~Descriptor() {
  if (descriptor_ != kNone) ::close(descriptor_);
}

Descriptor Descriptor::duplicate() const {
  Descriptor copy(::fcntl(descriptor_, F_DUPFD_CLOEXEC, 0));
  if (!copy) throw FileError(fmt::format("an open file cannot be duplicated: {}", system_message(errno)));
  return copy;
}

}  // namespace ane
