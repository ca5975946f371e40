// One way to write parameters for both databases.
#pragma once

#include <string>
#include <string_view>

namespace heddle::services {

// `?` becomes `$1`, `$2`… for PostgreSQL, outside of strings, quoted names, dollar quotes and
// comments. A statement that has `$1` itself stays as it is, so its `?` are operators of jsonb.
std::string numbered_placeholders(std::string_view statement);

}  // namespace heddle::services
