COLUMNS = ("subject", "analysis", "task", "model", "settings", "outcome", "reason")


def page(rows):
    return ""
