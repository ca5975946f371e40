// Functions of SQLite whose own versions take time in proportion to the product of their texts, in
// one step that nothing interrupts. These take it in proportion to the sum, and ask first whether
// the statement should end.
#pragma once

#include <sqlite3.h>

#include <functional>

#include "base/result.h"

namespace heddle::services {

// trim, ltrim, rtrim, replace and instr, as SQLite documents them. `must_stop` outlives the
// database.
Result<void> set_linear_functions(sqlite3* database, const std::function<bool()>& must_stop);

}  // namespace heddle::services
