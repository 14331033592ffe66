#include "ane/core/descriptor.h"

#include <unistd.h>

namespace ane {

Descriptor::~Descriptor() {
  if (descriptor_ != kNone) ::close(descriptor_);
}

}  // namespace ane
