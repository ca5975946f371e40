// Opening connections to PostgreSQL by URL. No error and no name here has the URL's password in it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "services/postgres_values.h"

namespace heddle::services {

using PostgresSettings = std::vector<std::pair<std::string, std::string>>;

// Blocks. Settings are libpq's keywords: `more` overrides what the URL says, `defaults` is for what
// it does not say. kInvalidArgument: the URL is not one; kUnavailable: the database cannot be
// reached.
Result<PostgresHandle> open_postgres(const std::string& url, const PostgresSettings& more,
                                     const PostgresSettings& defaults = {});

// What a URL leads to, for logs: "db.internal:5432/chat".
std::string postgres_place(const std::string& url);

}  // namespace heddle::services
