// SQL calls as plugins write and read them: JSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "services/sql.h"

namespace heddle::services {

// A JSON array of parameters ("" and null: none). Arrays and objects become documents;
// {"$bytes": "base64"} becomes bytes.
Result<std::vector<SqlValue>> sql_parameters(std::string_view json);

// A call as some SDKs write it in one text: `{"sql": "…", "params": […]}`; any other text is the
// statement itself. Fills statement and parameters.
Result<void> read_sql_call(std::string_view text, SqlRequest& request);

// {"rows":[{"column":value,…},…],"error":null}. Bytes become base64 text.
std::string sql_rows_json(const SqlResult& result);
// {"rows":[],"error":"…"}
std::string sql_error_json(const Error& error);

}  // namespace heddle::services
