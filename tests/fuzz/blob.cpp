#include "ane/mil/blob.h"

#include "fuzz/support.h"

namespace fuzz {

using namespace ane;

void blob(Bytes bytes) {
  constexpr int kTypes = 12;
  constexpr std::uint64_t kFarAway = 0xFFFF;
  Reader reader(bytes);
  const ane::mil::TensorType type{static_cast<ane::mil::DType>(reader.byte() % kTypes), {reader.byte(), reader.byte()}};
  const std::uint64_t near = reader.word();
  const std::uint64_t offset = near == kFarAway ? ~std::uint64_t{0} - reader.byte() : near;
  const Bytes file = reader.rest();
  may_refuse<ane::mil::BlobError>([&] {
    const Bytes data = ane::mil::read_blob(file, offset, type);
    require(data.data() >= file.data() && data.data() + data.size() <= file.data() + file.size(),
            "data are in the file");
    require(data.size() ==
                static_cast<std::size_t>(ane::mil::element_count(type.shape)) * ane::mil::element_bytes(type.dtype),
            "data are as large as the type");
  });
}

}  // namespace fuzz
