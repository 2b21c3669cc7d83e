// SPDX-License-Identifier: MIT
#include "daemon/state/transaction_room.h"

#include <fmt/format.h>

#include "config/units.h"

namespace kvd {

void TransactionRoom::RefuseAsTooLarge() {
  Refuse(fmt::format(
      "ERR the words, new values and replies of the transaction take more "
      "than limits.transaction_bytes, which is {}; nothing was changed. Send "
      "it in parts",
      FormatSize(bytes_max_)));
}

}  // namespace kvd
