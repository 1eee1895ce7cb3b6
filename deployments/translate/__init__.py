"""Foreign formats to ensembles: compose files. No Django here.

done = translate(text, project="shop", environ=os.environ, files=reader)
done.text             # the ensemble, None when it is refused
done.errors           # why, each with its line
done.not_carried      # what the ensemble does not say as the file did, each with its line
"""

from deployments.translate.compose import translate
from deployments.translate.notes import Files, Translation

__all__ = ["Files", "Translation", "translate"]
