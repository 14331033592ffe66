#pragma once

#include <cstdint>
#include <string>

#include "lower/view.h"
#include "run/memory.h"

/// Expands compressed weights when a kernel is created. The bytes are in a blob file, or in the literals with four
/// bytes each; the contents begin at the lowest bit of the first byte.
namespace ane::device::host {

/// out[i] = table[index i], elements of 4 bytes; the indices have `bits` bits each (1 to 8), packed consecutively.
class TableExpansion {
 public:
  TableExpansion(const View& indices, bool in_blob, const View& table, const View& out, int bits)
      : indices_(slot(indices)),
        table_(slot(table)),
        out_(slot(out)),
        count_(element_count(out.shape)),
        bits_(bits),
        in_blob_(in_blob) {}
  void run(const RunContext& context) const;

 private:
  template <class Byte>
  void expand(const RunContext& context) const;

  Slot indices_;
  Slot table_;
  Slot out_;
  std::int64_t count_;
  int bits_;
  bool in_blob_;
};

/// out[i] = the next of `values` where bit i of the mask is set, else 0; elements of 4 bytes.
class MaskExpansion {
 public:
  MaskExpansion(const View& mask, bool in_blob, const View& values, const View& out, std::string operation)
      : mask_(slot(mask)),
        values_(slot(values)),
        out_(slot(out)),
        bytes_(element_count(mask.shape)),
        value_count_(element_count(values.shape)),
        count_(element_count(out.shape)),
        operation_(std::move(operation)),
        in_blob_(in_blob) {}
  /// Throws BlobError naming the operation if the number of bits set in the mask differs from the number of values, or
  /// bits past the last element are set.
  void run(const RunContext& context) const;

 private:
  template <class Byte>
  void expand(const RunContext& context) const;

  Slot mask_;
  Slot values_;
  Slot out_;
  std::int64_t bytes_;
  std::int64_t value_count_;
  std::int64_t count_;
  std::string operation_;
  bool in_blob_;
};

}  // namespace ane::device::host
