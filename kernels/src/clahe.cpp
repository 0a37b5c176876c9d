#include "clahe.hpp"
